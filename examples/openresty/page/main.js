// The page: what is shown when, and what happens on the way.

import { get, list, post, remove, upload } from './api.js';
import { Chooser, Compare } from './compare.js';
import { Detail } from './detail.js';
import { Found } from './found.js';
import { help } from './help.js';
import { Layers, step } from './layers.js';
import { Plan } from './plan.js';
import { Progress } from './progress.js';
import { Registry } from './registry.js';
import { Search } from './search.js';
import { Settings } from './settings.js';
import { count, make, plain, short, show, size } from './text.js';
import { Tree } from './tree.js';
import { View } from './view.js';
import { Waste } from './waste.js';

const $ = (id) => document.getElementById(id);

const plan = new Plan();
const shown = new View({ select: $('view'), marks: $('marks'), sorts: { name: $('sort-name'), size: $('sort-size') } });
const tree = new Tree($('tree'), { plan, show: (entry) => detail.show(current, entry), fail, look: (entry) => shown.look(entry) });
const detail = new Detail($('detail'), { plan, facts, say, fail, source: (entry) => shown.source(entry) });
const found = new Found({
  section: $('found'), title: $('found-title'), about: $('found-about'), box: $('found-rows'), more: $('found-more'),
  close: $('found-close'), back: $('found-back'), tree: $('tree-box'),
}, { go: reveal });
const search = new Search({ form: $('search'), field: $('find'), mode: $('find-mode'), problem: $('find-problem') }, { found, say });
const layers = new Layers({
  table: $('layers'), section: $('layer'), title: $('layer-title'), about: $('layer-about'), box: $('entries'), strip: $('entry'),
}, { plan, fail });
const settings = new Settings($('config'), plan, { fail });
const progress = new Progress({ box: $('progress'), meter: $('meter'), doing: $('doing'), cancel: $('cancel') }, { say, fail });
const during = (title, work, how) => progress.during(title, work, how);
const waste = new Waste({ found, plan, during });
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
  if (!error.hint) return;
  const hint = make('span', 'hint-line');
  hint.append(...error.hint.split('`').map((part, at) => make(at % 2 ? 'code' : 'span', '', part)));
  $('alert').append(hint);
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
    const said = make('dd', '', value instanceof Node ? '' : value);
    if (value instanceof Node) said.append(value);
    group.append(make('dt', '', title), said);
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
    ['Layers', String(list(image.layers).length)], ['Wasted', wasted(image)],
    ['Other tags', list(image.tags).slice(1).join(', ')],
  ]);
  $('tag').value = '';
  $('flatten').checked = false;
  $('format').value = '';
  $('result').hidden = true;
  layers.load(image);
  settings.load(image.config || {});
  shown.load(image, step);
  search.load(id);
  found.forget();
  select('files');
  await showTree();
  if (document.activeElement === document.body) $('content').focus({ preventScroll: true });
  say(`${plain(title)}: ${count(list(image.layers).length, 'layer', 'layers')}, ${size(image.size)}`);
}

// What is wasted, as a button that tells of what.
function wasted(image) {
  if (image.wasted === 0) return 'nothing';
  const button = make('button', 'link', `${size(image.wasted)}, ${part(image.wasted, image.bytes)}`);
  button.type = 'button';
  button.id = 'wasted';
  button.title = 'Which files, why, and how they are taken out';
  button.addEventListener('click', () => {
    select('files');
    waste.open(image);
  });
  return button;
}

// ---- the tree -----------------------------------------------------------------------------

async function showTree() {
  detail.clear();
  await tree.load((path) => shown.url(path));
}

// Shows a path of a list in the tree: what no container sees, in that of the layers up to its own.
async function reveal(one) {
  if (one.gone) shown.go(one.layer);
  else if (shown.upto) shown.go();
  if (!await tree.reveal(one.path)) fail(`/${plain(one.display)} is not in this tree`);
}

async function showLargest() {
  const image = current;
  const answer = await during('Looking for the largest files', (task) => (
    get(`/images/${image.id}/largest?count=100${shown.upto ? `&upto=${shown.upto}` : ''}`, task)));
  if (!answer || current !== image) return;
  const rows = list(answer.entries);
  found.show('Largest files', [make('span', '', 'A file with several names is here once.')], rows.map((one) => (
    { ...one, gone: false })), 0);
  found.open(true);
}

shown.addEventListener('change', () => {
  if (found.isOpen) found.close();
  tree.loading = showTree();
});
$('largest').addEventListener('click', showLargest);

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

// The image that the plan wants of another one; null when the user is told why there is none.
async function made(source) {
  const wrong = await settings.settled();
  if (current !== source) return null;
  if (wrong) {
    select('config');
    wrong.focus();
    fail('A setting cannot be as it is: mend it, or set it back.');
    return null;
  }
  const wish = plan.request();
  if ($('flatten').checked) wish.flatten = true;
  if ($('tag').value.trim() !== '') wish.tags = [$('tag').value.trim()];
  if ($('format').value !== '') wish.format = $('format').value;
  return during('Making the image', (task) => post(`/images/${source.id}/edit`, wish, task));
}

let makes = false; // an image is being made

async function makeImage(event) {
  event.preventDefault();
  if (makes) return;
  makes = true;
  const source = current;
  const image = await made(source);
  makes = false;
  if (image && current === source) showResult(source, image);
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
    + `${count(kept, 'layer', 'layers')} kept, ${rewritten} rewritten${made.dropped > 0 ? `; ${size(made.dropped)} less wasted` : ''}`;
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
