// The page: what is shown when, and what happens on the way.

import { get, list, post, remove, upload } from './api.js';
import { Layer } from './layer.js';
import { Plan } from './plan.js';
import { Settings } from './settings.js';
import { count, make, mode, plain, short, show, size } from './text.js';
import { kind } from './rows.js';
import { Tree } from './tree.js';

const $ = (id) => document.getElementById(id);

const plan = new Plan();
const tree = new Tree($('tree'), { plan, show: showDetail, fail });
const layer = new Layer($('entries'), { plan, fail });
const settings = new Settings($('config'), plan);
let current = null;

// ---- what the user is told ----------------------------------------------------------

function say(text) {
  show($('status'), text);
}

function fail(error) {
  show($('alert'), error.message || error);
  busy(null);
}

// Something goes on: its title, and how far it is, if that is known.
function busy(title, done) {
  $('progress').hidden = title === null;
  if (title === null) return;
  if ($('doing').textContent !== title) show($('doing'), title);
  if (done === undefined) $('meter').removeAttribute('value');
  else $('meter').value = done;
}

async function during(title, work) {
  $('alert').textContent = '';
  busy(title);
  say(title);
  try {
    return await work();
  } catch (error) {
    fail(error);
    say('');
    return null;
  } finally {
    busy(null);
  }
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
    const drop = make('button', 'quiet', '✕');
    drop.type = 'button';
    drop.setAttribute('aria-label', `Remove ${plain(title)}`);
    drop.addEventListener('click', onRemove);
    item.append(drop);
  }
  return item;
}

async function showStart() {
  current = null;
  $('image').hidden = true;
  $('start').hidden = false;
  $('where').textContent = '';
  document.title = 'strata';
  const known = await get('/images').catch(fail);
  if (!known) return;
  const images = list(known.images);
  $('images').replaceChildren(...images.map((one) => card(
    list(one.tags)[0] || one.name, `${one.name} · ${size(one.size)} · ${one.platform}`,
    () => { location.hash = one.id; },
    async () => {
      await during('Removing', () => remove('/images/' + one.id));
      showStart();
    },
  )));
  $('known').hidden = images.length === 0;
  const available = list(known.available);
  $('available').replaceChildren(...available.map((one) => card(one.name, 'open', () => (
    opened(during(`Reading ${plain(one.name)}`, () => post('/images', { path: one.path })))))));
  $('offers').hidden = available.length === 0;
}

async function opened(promise) {
  const image = await promise;
  if (image) location.hash = image.id;
}

function take(file) {
  if (!file) return;
  const name = plain(file.name);
  let told = 0;
  opened(during(`Uploading ${name}`, () => upload(file, (done, total) => {
    if (done >= total) {
      busy(`Reading ${name}`);
      say(`Reading ${name}`);
      return;
    }
    busy(`Uploading ${name}, ${size(done)} of ${size(total)}`, done / total);
    const quarter = Math.floor((4 * done) / total);
    if (quarter > told) say(`Uploading ${name}: ${25 * quarter} %`);
    told = quarter;
  })));
}

// ---- an image ---------------------------------------------------------------------------

function facts(element, pairs) {
  element.replaceChildren(...pairs.filter(([, value]) => value).flatMap(([title, value]) => (
    [make('dt', '', title), make('dd', '', value)])));
}

async function showImage(id) {
  const image = await during('Reading the image', () => get('/images/' + id));
  if (!image) {
    if (!current) showStart();
    return;
  }
  current = image;
  plan.clear();
  $('start').hidden = true;
  $('image').hidden = false;
  const title = list(image.tags)[0] || image.name;
  show($('where'), image.name);
  show($('image-title'), title);
  document.title = `${plain(title)} – strata`;
  facts($('facts'), [
    ['ID', short(image.image)], ['Platform', image.platform], ['Size', size(image.size)],
    ['Layers', String(list(image.layers).length)], ['Wasted', image.wasted > 0 ? size(image.wasted) : 'nothing'],
    ['Other tags', list(image.tags).slice(1).join(', ')],
  ]);
  $('tag').value = '';
  $('flatten').checked = false;
  $('format').value = '';
  $('result').hidden = true;
  $('layer').hidden = true;
  showLayers(image);
  settings.load(image.config || {});
  showDetail(null);
  select('files');
  await tree.load('/images/' + id);
  if (document.activeElement === document.body) $('content').focus({ preventScroll: true });
  say(`${plain(title)}: ${count(list(image.layers).length, 'layer', 'layers')}, ${size(image.size)}`);
}

// What a step of a build says, without what every step says.
function step(text) {
  return (text || '').replace(/^\/bin\/sh -c #\(nop\)\s+/, '').replace(/^(RUN )?\/bin\/sh -c /, 'RUN ')
    .replace(/\s+# buildkit$/, '');
}

function layerRow(image, row, one, largest) {
  const line = document.createElement('tr');
  const first = make('td');
  const text = make('td', 'step');
  const cells = [first, text];
  text.append(make('span', '', step(row.created_by || (one ? '(not told)' : ''))));
  if (one) {
    const button = make('button', `badge layer-${one.index % 6}`, one.index);
    button.type = 'button';
    button.setAttribute('aria-label', `Entries of layer ${one.index}`);
    button.addEventListener('click', () => showLayer(image, one));
    first.append(button);
    const meter = make('td', 'n');
    const bar = document.createElement('progress');
    bar.max = largest || 1;
    bar.value = one.size;
    bar.setAttribute('aria-hidden', 'true');
    meter.append(make('span', '', size(one.size)), bar);
    cells.push(make('td', 'n entries', one.entries.toLocaleString('en')), meter,
      make('td', one.wasted > 0 ? 'n warn' : 'n dim', one.wasted > 0 ? size(one.wasted) : '–'));
  } else {
    line.className = 'empty';
    const rest = make('td', 'n dim', 'no layer');
    rest.colSpan = 3;
    cells.push(rest);
  }
  line.append(...cells);
  return line;
}

function showLayers(image) {
  const layers = list(image.layers);
  const largest = Math.max(0, ...layers.map((one) => one.size));
  const seen = new Set();
  const lines = list(image.history).map((row) => {
    if (row.layer) seen.add(row.layer);
    return layerRow(image, row, row.layer && layers[row.layer - 1], largest);
  });
  for (const one of layers) {
    if (!seen.has(one.index)) lines.push(layerRow(image, {}, one, largest));
  }
  $('layers').tBodies[0].replaceChildren(...lines);
}

function showLayer(image, one) {
  $('layer').hidden = false;
  show($('layer-title'), `Layer ${one.index}: ${count(one.entries, 'entry', 'entries')}, ${size(one.bytes)} of content`
    + (one.whiteouts > 0 ? `, ${count(one.whiteouts, 'removal', 'removals')}` : ''));
  layer.load(`/images/${image.id}/layers/${one.index}`, one.entries);
  layer.list.focus(0);
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
    ['Changed', entry.mtime ? new Date(entry.mtime * 1000).toISOString().replace('T', ' ').slice(0, 16) : ''],
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
    item.append(make('span', `badge layer-${row.layer % 6}`, row.layer), ' ',
      make('span', '', ACTIONS[row.action] || row.action), ' ', make('span', 'dim', step(row.created_by).slice(0, 90)));
    return item;
  });
  const history = make('ol', 'path-history');
  history.append(...rows);
  box.append(make('h4', '', 'Layers'), history);
  if (more.text) {
    box.append(make('h4', '', more.truncated ? 'Beginning' : 'Content'), make('pre', '', more.text.slice(0, 20000), true));
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
  const made = await during('Making the image', () => post(`/images/${source.id}/edit`, wish));
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
  actions.append(save, look);
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
  if (/^[0-9a-f]{32}$/.test(id)) showImage(id);
  else showStart();
}

addEventListener('hashchange', route);
showPlan();
route();
