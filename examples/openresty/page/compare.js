// Two images side by side: files, config, history and layers.

import { get, list, post } from './api.js';
import { kind } from './rows.js';
import { count, make, mode, plain, short, show, size, time } from './text.js';
import { VirtualList } from './vlist.js';

const LISTS = [['files', 'Files'], ['config', 'Config'], ['history', 'History'], ['layers', 'Layers']];
const CHANGES = [['added', 'Added'], ['removed', 'Removed'], ['changed', 'Changed']];
const SIGNS = { added: '+', removed: '−', changed: '~' };

const ROUTE = /^([0-9a-f]{32})\.\.([0-9a-f]{32})$/;

class Options extends VirtualList {
  place(index, shift) {
    super.place(index, shift);
    const row = this.rows.get(index);
    row.setAttribute('role', 'option');
    row.setAttribute('aria-posinset', index + 1);
    row.setAttribute('aria-setsize', this.count);
  }
}

// ---- what is told of a row -----------------------------------------------------------------

const changeOf = (row) => (row.change === 'spelling' ? 'changed' : row.change);

const text = (value) => (typeof value === 'string' && value !== '' ? value : JSON.stringify(value) ?? '');

// Fields of a file: a title, and what a side says.
const FIELDS = {
  type: ['Type', (side) => kind(side)],
  content: ['Content', (side) => (side.size === undefined ? '' : size(side.size))],
  digest: ['SHA-256', (side) => short(side.content)],
  linkpath: ['Leads to', (side) => side.linkpath],
  device: ['Device', (side) => side.device],
  mode: ['Mode', (side) => (side.mode === undefined ? '' : mode(side.mode))],
  owner: ['Owner', ({ uid, gid }) => (uid === undefined ? gid === undefined ? '' : `group ${gid}` : gid === undefined ? `user ${uid}` : `${uid}:${gid}`)],
  names: ['Owner’s names', (side) => [side.uname, side.gname].filter(Boolean).join(':')],
  mtime: ['Modified', (side) => time(side.mtime)],
  atime: ['Read', (side) => time(side.atime)],
  ctime: ['Status changed', (side) => time(side.ctime)],
  xattrs: ['Attributes', (side) => Object.entries(side.xattrs ?? {}).map(([name, value]) => `${name}=${value}`).join(' ')],
  hardlink: ['Same file as', (side) => side.hardlink],
  layer: ['Layer', (side) => (side.layer ? String(side.layer) : '')],
};
const OWN = { uid: 'owner', gid: 'owner', uname: 'names', gname: 'names' };

// The fields that differ, each with what both sides say.
function fieldsOf(row) {
  let names = ['type', 'content', 'mode', 'owner', 'linkpath', 'device'];
  if (row.change === 'changed') names = [...new Set(list(row.fields).map((name) => OWN[name] ?? name))];
  return names.map((name) => [FIELDS[name]?.[0] ?? name, ...[row.a, row.b].map((side) => (side && FIELDS[name]?.[1](side)) || '')])
    .filter(([, a, b]) => a || b);
}

function layerText(side) {
  return side ? `${short(side.diff_id)} · ${size(side.size)}` : '';
}

// What stands in the columns of a row: its subject and both sides.
function cells(row) {
  if (row.kind === 'file') {
    const fields = fieldsOf(row);
    if (row.change !== 'changed') {
      const words = fields.map(([, a, b]) => a || b).filter((word) => word !== 'file').join(' · ');
      return ['/' + row.display, row.a ? words : '', row.b ? words : ''];
    }
    return ['/' + row.display, ...[1, 2].map((at) => fields.map((one) => one[at] || 'none').join(' · '))];
  }
  if (row.kind === 'layer') return [`Layer ${(row.a ?? row.b).layer}`, layerText(row.a), layerText(row.b)];
  const subject = row.pointer === '' ? 'the whole document' : row.pointer;
  return [subject, row.change === 'added' ? '' : text(row.a), row.change === 'removed' ? '' : text(row.b)];
}

function details(row) {
  if (row.kind === 'file') {
    return [...fieldsOf(row), ...(list(row.fields).includes('content') ? [['SHA-256', short(row.a?.content), short(row.b?.content)]] : []),
      ['Layer', FIELDS.layer[1](row.a ?? {}), FIELDS.layer[1](row.b ?? {})]];
  }
  if (row.kind === 'layer') {
    const side = (of, what) => (of ? what(of) : '');
    return [['Digest', side(row.a, (one) => short(one.diff_id)), side(row.b, (one) => short(one.diff_id))],
      ['Size', side(row.a, (one) => size(one.size)), side(row.b, (one) => size(one.size))],
      ...(row.reordered ? [['Order', 'the same paths', 'in another order']] : [])];
  }
  const pretty = (value) => (typeof value === 'string' && value !== '' ? value : JSON.stringify(value, null, 1));
  const spelled = row.change === 'spelling' ? 'Written as' : 'Value';
  return [[spelled, row.change === 'added' ? '' : pretty(row.a), row.change === 'removed' ? '' : pretty(row.b)]];
}

// ---- the view --------------------------------------------------------------------------------

export class Compare {
  // box: the section; during, fail and say tell the user.
  constructor(box, { during, fail, say }) {
    Object.assign(this, { box, during, fail, say, rows: [], seen: [] });
    const $ = (name) => box.querySelector(`#compare-${name}`);
    Object.assign(this, {
      title: $('title'), facts: $('facts'), filter: $('filter'), total: $('total'), detail: $('detail'), find: $('find'),
      semantic: $('semantic'), lists: $('lists'), changes: $('changes'),
    });
    this.list = new Options($('rows'), {
      draw: (row, index) => this.draw(row, index),
      key: (event, index) => this.key(event, index),
      pick: (index) => this.choose(index),
    });
    this.filter.addEventListener('submit', (event) => event.preventDefault());
    this.filter.addEventListener('input', (event) => {
      if (event.target === this.semantic) this.load();
      else this.apply();
    });
    $('swap').addEventListener('click', () => { location.hash = `${this.b}..${this.a}`; });
  }

  // Shows what a hash means, if it means two images.
  route(hash) {
    const [, a, b] = ROUTE.exec(hash) ?? [];
    this.task?.controller.abort(); // what was asked for before
    Object.assign(this, { a, b });
    if (!a) return false;
    this.load();
    return true;
  }

  async load() {
    const wanted = { a: this.a, b: this.b, semantic: this.semantic.checked };
    this.rows = [];
    show(this.title, 'Comparing');
    this.fill({ counts: {} });
    const answer = await this.during('Comparing the images', (task) => {
      this.task = task;
      return post('/compare', wanted, task);
    });
    if (!answer) {
      if (wanted.a === this.a && wanted.b === this.b) show(this.title, 'Not compared');
      return;
    }
    if (wanted.a !== this.a || wanted.b !== this.b || wanted.semantic !== this.semantic.checked) return;
    this.rows = LISTS.flatMap(([name]) => list(answer[name]));
    for (const row of this.rows) row.sought = (row.display ?? row.pointer ?? '').toLowerCase();
    this.fill(answer);
    this.say(this.total.textContent);
    this.title.focus({ preventScroll: true });
  }

  // The frame: titles, and how many of each kind there are.
  fill(answer) {
    const { counts } = answer;
    const all = (name) => (counts[name] ? Object.values(counts[name]).reduce((sum, n) => sum + n, 0) : 0);
    this.answer = answer;
    if (answer.a) {
      const [a, b] = [answer.a, answer.b].map((side) => side.file);
      this.title.replaceChildren(make('bdi', '', a), ' → ', make('bdi', '', b));
      document.title = `${plain(a)} → ${plain(b)} – strata`;
      this.facts.replaceChildren(...[['Before', answer.a, this.a], ['After', answer.b, this.b]].map(([word, side, id]) => {
        const group = make('div');
        const link = make('a', '', side.name);
        link.href = '#' + id;
        const value = make('dd');
        value.append(link, make('span', 'code dim', ` ${short(side.id)}`));
        group.append(make('dt', '', word), value);
        return group;
      }));
    }
    const chips = (box, pairs, number) => {
      for (const [name] of pairs) {
        const input = box.querySelector(`[value="${name}"]`);
        const n = number(name);
        input.disabled = n === 0;
        show(input.nextElementSibling, n.toLocaleString('en'));
      }
    };
    chips(this.lists, LISTS, all);
    chips(this.changes, CHANGES, (name) => LISTS.reduce((sum, [one]) => sum + (counts[one]?.[name] ?? 0), 0));
    this.apply();
  }

  // The rows that pass the filter.
  apply() {
    const on = (box) => new Set([...box.querySelectorAll('input:checked')].map((input) => input.value));
    const [lists, changes, sought] = [on(this.lists), on(this.changes), this.find.value.trim().toLowerCase().replace(/^\//, '')];
    const listOf = { file: 'files', config: 'config', history: 'history', layer: 'layers' };
    this.seen = this.rows.filter((row) => lists.has(listOf[row.kind]) && changes.has(changeOf(row))
      && (sought === '' || row.sought.includes(sought)));
    this.chosen = undefined;
    this.list.update(this.seen.length);
    this.describe(null);
    this.tell();
  }

  tell() {
    const { answer } = this;
    if (!answer.a) {
      show(this.total, '');
      return;
    }
    const n = LISTS.reduce((sum, [name]) => sum + Object.values(answer.counts[name]).reduce((all, one) => all + one, 0), 0);
    let words = this.seen.length === n ? count(n, 'difference', 'differences')
      : `${this.seen.length.toLocaleString('en')} of ${count(n, 'difference', 'differences')}`;
    if (answer.equal) words = this.semantic.checked ? 'No differences but those of a rebuild.' : 'No differences: the images are the same.';
    if (this.rows.length < n) words += `; of each kind the first ${answer.limit.toLocaleString('en')} are here`;
    show(this.total, words);
  }

  draw(element, index) {
    const row = this.seen[index];
    const change = changeOf(row);
    const [subject, a, b] = cells(row);
    const name = make('bdi', 'name', subject);
    const cell = make('span', 'c-name');
    cell.append(name);
    element.replaceChildren(make('span', `sign ${change}`, SIGNS[change]), cell, make('bdi', 'side', a), make('bdi', 'side', b));
    element.title = plain(subject);
    element.classList.toggle('chosen', row === this.chosen);
    element.setAttribute('aria-selected', row === this.chosen);
    const said = change === 'changed' ? `${a || 'none'} to ${b || 'none'}` : a || b;
    element.setAttribute('aria-label', plain(`${change} ${subject}: ${said}`));
  }

  key(event, index) {
    if (event.key !== 'Enter' && event.key !== ' ') return false;
    this.choose(index);
    return true;
  }

  choose(index) {
    this.chosen = this.seen[index];
    this.list.refresh();
    this.describe(this.chosen);
  }

  describe(row) {
    if (!row) {
      this.detail.replaceChildren(make('p', 'dim', this.seen.length > 0 ? 'Choose a difference to see all of it.' : ''));
      return;
    }
    const [subject] = cells(row);
    const change = changeOf(row);
    const title = make('h3', '');
    title.append(make('bdi', '', subject));
    const table = make('table', 'sides');
    const head = document.createElement('thead');
    const line = document.createElement('tr');
    for (const word of ['', 'Before', 'After']) {
      const cell = make('th', '', word);
      cell.scope = 'col';
      line.append(cell);
    }
    head.append(line);
    const rows = document.createElement('tbody');
    for (const [word, a, b] of details(row).filter((one) => one[1] || one[2])) {
      const one = document.createElement('tr');
      const name = make('th', '', word);
      name.scope = 'row';
      one.append(name, make('td', 'value', a, true), make('td', 'value', b, true));
      rows.append(one);
    }
    table.append(head, rows);
    this.detail.replaceChildren(title, make('p', `sign-word ${change}`, change), table);
    this.say(`${change} ${plain(subject)}`);
  }
}

// A form that chooses two of the images that are open.
export class Chooser {
  constructor(form) {
    this.form = form;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      location.hash = `${form.elements.a.value}..${form.elements.b.value}`;
    });
  }

  // images: as GET /images tells them; first: the ID that is chosen, if any.
  offer(images, first) {
    this.form.hidden = images.length < 2;
    if (images.length < 2) return;
    const options = () => images.map((one) => {
      const option = make('option', '', plain(one.name));
      option.value = one.id;
      return option;
    });
    const { a, b } = this.form.elements;
    a.replaceChildren(...options());
    b.replaceChildren(...options());
    a.value = first ?? images[0].id;
    b.value = (images.findLast((one) => one.id !== a.value) ?? images[0]).id;
  }

  async refresh(first) {
    const known = await get('/images').catch(() => ({}));
    this.offer(list(known.images), first);
  }
}
