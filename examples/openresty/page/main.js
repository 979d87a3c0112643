// The page: what is shown when, and what happens on the way.

import { get, list, post, remove, upload } from './api.js';
import { Chooser, Compare } from './compare.js';
import { help } from './help.js';
import { Layers, step } from './layers.js';
import { Plan } from './plan.js';
import { Progress } from './progress.js';
import { Registry } from './registry.js';
import { Settings } from './settings.js';
import { count, make, mode, plain, short, show, size, time } from './text.js';
import { badge, kind } from './rows.js';
import { Tree } from './tree.js';

const $ = (id) => document.getElementById(id);

const plan = new Plan();
const tree = new Tree($('tree'), { plan, show: showDetail, fail, look });
const layers = new Layers({
  table: $('layers'), section: $('layer'), title: $('layer-title'), about: $('layer-about'), box: $('entries'), strip: $('entry'),
}, { plan, fail });
const settings = new Settings($('config'), plan, { fail });
const progress = new Progress({ box: $('progress'), meter: $('meter'), doing: $('doing'), cancel: $('cancel') }, { say, fail });
const during = (title, work, how) => progress.during(title, work, how);
const compare = new Compare($('compare'), { during, fail, say });
const [chooser, beside] = [new Chooser($('compare-choose')), new Chooser($('compare-this'))];
const registry = new Registry({
  form: $('pull'), reference: $('pull-reference'), platform: $('pull-platform'), hosts: $('pull-hosts'),
}, { during, opened });
let current = null;

// ---- what the user is told ----------------------------------------------------------

function say(text) {
  show($('status'), text);
}

function fail(error) {
  show($('alert'), error.message || error);
  if (error.hint) $('alert').append(make('span', 'hint-line', error.hint));
}

// Which part of the page is seen.
function view(name) {
  for (const one of ['start', 'image', 'compare']) $(one).hidden = one !== name;
}

// ---- the first page -------------------------------------------------------------------

function card(title, details, onOpen, onRemove) {
  const item = make('li', 'card');
  const open = make('button', 'card-open');
  open.type = 'button';
  open.append(make('bdi', 'card-title', title), make('span', 'dim', details));
  open.addEventListener('click', onOpen);
  item.append(open);
  if (onRemove) {
    item.append(remover(title, onRemove));
  }
  return item;
}

// A button that has to be pressed twice.
function remover(title, onRemove) {
  const drop = make('button', 'quiet', '✕');
  drop.type = 'button';
  const ask = (asks) => {
    drop.textContent = asks ? 'Remove?' : '✕';
    drop.setAttribute('aria-label', asks ? `Really remove ${plain(title)}?` : `Remove ${plain(title)}`);
    drop.classList.toggle('asks', asks);
  };
  ask(false);
  drop.addEventListener('click', () => {
    if (drop.classList.contains('asks')) onRemove();
    else ask(true);
  });
  drop.addEventListener('blur', () => ask(false));
  return drop;
}

// No image is shown any more.
function leave() {
  current = null;
  $('jump').hidden = true;
  $('where').textContent = '';
}

async function showStart() {
  leave();
  view('start');
  document.title = 'strata';
  const known = await get('/images').catch(fail);
  if (!known) return;
  const images = list(known.images);
  $('images').replaceChildren(...images.map((one) => card(
    list(one.tags)[0] || one.name, `${one.name} · ${size(one.size)} · ${one.platform}`,
    () => { location.hash = one.id; },
    async () => {
      const removed = await during('Removing', () => remove('/images/' + one.id), { lasts: false });
      await showStart();
      if (removed) $('browse').focus();
    },
  )));
  $('known').hidden = images.length === 0;
  chooser.offer(images);
  registry.offer(known.registries);
  const available = list(known.available);
  $('available').replaceChildren(...available.map((one) => card(one.name, `${size(one.size)} · not open yet`, () => (
    opened(during(`Reading ${one.name}`, (task) => post('/images', { path: one.path }, task)))))));
  $('offers').hidden = available.length === 0;
}

async function opened(promise) {
  const image = await promise;
  if (image) location.hash = image.id;
}

function take(file) {
  if (!file) return;
  opened(during(`Uploading ${file.name}`, (task) => upload(file, task)));
}

// ---- an image ---------------------------------------------------------------------------

function facts(element, pairs) {
  element.replaceChildren(...pairs.filter(([, value]) => value).map(([title, value]) => {
    const group = make('div');
    group.append(make('dt', '', title), make('dd', '', value));
    return group;
  }));
}

// A part of something, as a percentage.
function part(bytes, all) {
  const percent = (100 * bytes) / (all || 1);
  return percent < 1 ? 'under 1 %' : `${Math.round(percent)} %`;
}

async function showImage(id) {
  const image = await during('Reading the image', (task) => get('/images/' + id, task));
  if (!image) {
    if (!current) showStart();
    return;
  }
  current = image;
  image.bytes = list(image.layers).reduce((sum, one) => sum + one.bytes, 0);
  plan.clear();
  view('image');
  beside.refresh(id);
  const title = list(image.tags)[0] || image.name;
  show($('where'), image.name);
  show($('image-title'), title);
  document.title = `${plain(title)} – strata`;
  facts($('facts'), [
    ['ID', short(image.image)], ['Platform', image.platform], ['Size', size(image.size)],
    ['Layers', String(list(image.layers).length)], ['Wasted', image.wasted > 0 ? `${size(image.wasted)}, ${part(image.wasted, image.bytes)}` : 'nothing'],
    ['Other tags', list(image.tags).slice(1).join(', ')],
  ]);
  $('tag').value = '';
  $('flatten').checked = false;
  $('format').value = '';
  $('result').hidden = true;
  layers.load(image);
  settings.load(image.config || {});
  showDetail(null);
  select('files');
  await tree.load((path) => `/images/${id}/files/${path}${path && '/'}?`);
  if (document.activeElement === document.body) $('content').focus({ preventScroll: true });
  say(`${plain(title)}: ${count(list(image.layers).length, 'layer', 'layers')}, ${size(image.size)}`);
}

// Where an entry of the merged tree comes from.
function look(facts) {
  if (!facts.layer) return { notes: [], said: [] };
  const mark = badge(facts.layer);
  mark.title = `from layer ${facts.layer}`;
  return { notes: [mark], said: [mark.title] };
}

// ---- details of a path --------------------------------------------------------------------

const ACTIONS = {
  added: 'added', changed: 'changed', metadata: 'changed in mode, owner or time', deleted: 'deleted', hidden: 'hidden',
};

function exactSize(bytes) {
  return bytes < 1000 ? size(bytes) : `${size(bytes)} (${bytes.toLocaleString('en')} bytes)`;
}

async function showDetail(entry) {
  const box = $('detail');
  if (!entry) {
    box.replaceChildren(make('p', 'dim', 'Choose a file to see what it is, and which layers had a hand in it.'));
    return;
  }
  const base = '/images/' + current.id;
  const title = make('h3', '');
  title.append(make('bdi', '', '/' + entry.display));
  const about = make('dl', 'facts');
  facts(about, [
    ['Type', kind(entry)], ['Size', entry.type === 'file' ? exactSize(entry.size) : ''],
    ['Mode', mode(entry.mode)], ['Owner', `${entry.uid}:${entry.gid}`],
    ['Changed', time(entry.mtime)],
    ['Leads to', entry.linkpath], ['Names', entry.links > 1 ? String(entry.links) : ''],
  ]);
  const actions = make('div', 'actions');
  const drop = make('button', '', plan.covers(entry.path) ? 'Keep it' : 'Take it out');
  drop.type = 'button';
  drop.addEventListener('click', () => {
    plan.togglePath(entry);
    drop.textContent = plan.covers(entry.path) ? 'Keep it' : 'Take it out';
  });
  actions.append(drop);
  if (entry.type === 'file') {
    const save = make('a', 'button', 'Download');
    save.href = `${base}/files/${entry.path}?download=1`;
    save.download = plain(entry.name);
    actions.append(save);
  }
  box.replaceChildren(title, about, actions);
  say(`${plain(entry.display)}: ${kind(entry)}${entry.type === 'file' ? ', ' + size(entry.size) : ''}`
    + (entry.layer ? `, from layer ${entry.layer}` : ''));
  if (entry.type === 'dir') return;
  const more = await get(`${base}/files/${entry.path}`).catch(fail);
  if (!more || !box.contains(title)) return;
  const rows = list(more.history).map((row) => {
    const item = make('li');
    item.append(badge(row.layer), ' ',
      make('span', '', ACTIONS[row.action] || row.action), ' ', make('span', 'dim', step(row.created_by).slice(0, 90)));
    return item;
  });
  const history = make('ol', 'path-history');
  history.append(...rows);
  box.append(make('h4', '', 'Layers'), history);
  if (more.text) {
    const title_ = more.truncated ? 'Beginning' : 'Content';
    const content = make('pre', '', more.text.slice(0, 20000), true);
    content.tabIndex = 0; // it scrolls
    content.setAttribute('role', 'region');
    content.setAttribute('aria-label', title_);
    box.append(make('h4', '', title_), content);
  } else if (more.binary) {
    box.append(make('p', 'dim', 'No text.'));
  }
}

// ---- the plan -----------------------------------------------------------------------------

function hasWish() {
  return plan.items().length > 0 || $('flatten').checked || $('tag').value.trim() !== '' || $('format').value !== '';
}

function showPlan() {
  const items = plan.items();
  $('plan').replaceChildren(...items.map((one) => {
    const item = make('li');
    const text = make('span', 'plan-text');
    text.append(make('span', 'dim', one.verb + ' '), make('bdi', 'code', one.what));
    if (one.value !== undefined) text.append(make('span', 'dim', ' to '), make('bdi', 'code', one.value));
    const undo = make('button', 'quiet', '✕');
    undo.type = 'button';
    undo.setAttribute('aria-label', `Do not ${one.verb} ${plain(one.what)}`);
    undo.addEventListener('click', one.undo);
    item.append(text, undo);
    return item;
  }));
  $('plan-none').hidden = items.length > 0;
  $('jump').hidden = items.length === 0 || !current;
  $('jump').textContent = count(items.length, 'change', 'changes');
  $('go').disabled = !hasWish();
}

async function makeImage(event) {
  event.preventDefault();
  const source = current;
  const wish = plan.request();
  if ($('flatten').checked) wish.flatten = true;
  if ($('tag').value.trim() !== '') wish.tags = [$('tag').value.trim()];
  if ($('format').value !== '') wish.format = $('format').value;
  $('go').disabled = true;
  const made = await during('Making the image', (task) => post(`/images/${source.id}/edit`, wish, task));
  $('go').disabled = !hasWish();
  if (!made || current !== source) return;
  showResult(source, made);
}

function showResult(source, made) {
  const save = make('a', 'button primary', 'Download');
  save.id = 'download';
  save.href = `/images/${made.id}/download`;
  save.download = plain(made.name);
  const look = make('a', 'button', 'Look inside');
  look.href = '#' + made.id;
  const saved = source.size - made.size;
  const actions = make('div', 'actions');
  const beside_ = make('a', 'button', 'Compare');
  beside_.href = `#${source.id}..${made.id}`;
  actions.append(save, look, beside_);
  const rewritten = list(made.layers).filter((one) => one.action !== 'copied').length;
  const kept = list(made.layers).length - rewritten;
  const detail = `${size(made.size)}, ${saved === 0 ? 'as large as before' : `${size(Math.abs(saved))} ${saved > 0 ? 'smaller' : 'larger'}`}; `
    + `${count(kept, 'layer', 'layers')} kept, ${rewritten} rewritten`;
  const name = make('h3', '');
  name.append(make('bdi', '', made.name));
  $('result').replaceChildren(name, make('p', '', detail), make('p', 'code dim', short(made.image)), actions);
  $('result').hidden = false;
  say(`${plain(made.name)} is made: ${detail}`);
  save.focus();
}

// ---- tabs, dropping, history ----------------------------------------------------------------

const TABS = ['files', 'layers', 'config'];

function select(name, focus) {
  for (const one of TABS) {
    const tab = $('tab-' + one);
    tab.setAttribute('aria-selected', one === name);
    tab.tabIndex = one === name ? 0 : -1;
    $('panel-' + one).hidden = one !== name;
  }
  if (name === 'layers') layers.begin();
  if (focus) $('tab-' + name).focus();
}

for (const [at, name] of TABS.entries()) {
  $('tab-' + name).addEventListener('click', () => select(name));
  $('tab-' + name).addEventListener('keydown', (event) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(TABS[(to + TABS.length) % TABS.length], true);
  });
}

$('choose').addEventListener('change', (event) => {
  take(event.target.files[0]);
  event.target.value = '';
});
$('browse').addEventListener('click', () => $('choose').click());
$('make').addEventListener('submit', makeImage);
$('make').addEventListener('input', showPlan);
plan.addEventListener('change', showPlan);
$('skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('content').focus();
});
$('jump').addEventListener('click', () => {
  $('plan-title').scrollIntoView();
  $('go').focus();
});
$('home').addEventListener('click', (event) => {
  event.preventDefault();
  location.hash = '';
});

let depth = 0;
addEventListener('dragenter', () => {
  depth += 1;
  document.body.classList.add('dragging');
});
addEventListener('dragleave', () => {
  depth -= 1;
  if (depth <= 0) document.body.classList.remove('dragging');
});
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove('dragging');
  take(event.dataTransfer.files[0]);
});

function route() {
  const id = location.hash.slice(1);
  $('alert').textContent = '';
  if (compare.route(id)) {
    view('compare');
    leave();
  } else if (/^[0-9a-f]{32}$/.test(id)) showImage(id);
  else showStart();
}

for (const id of ['upload-url', 'help-url']) $(id).textContent = `${location.origin}/images`;
help($('help'), $('help-open'));
addEventListener('hashchange', route);
showPlan();
route();
