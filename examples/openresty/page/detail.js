// What is known of a path.

import { get, list } from './api.js';
import { step } from './layers.js';
import { badge, kind } from './rows.js';
import { make, mode, plain, size, time } from './text.js';

const ACTIONS = {
  added: 'added', changed: 'changed', metadata: 'changed in mode, owner or time', repeated: 'there again, unchanged',
  deleted: 'deleted', hidden: 'hidden',
};

function exactSize(bytes) {
  return bytes < 1000 ? size(bytes) : `${size(bytes)} (${bytes.toLocaleString('en')} bytes)`;
}

export class Detail {
  // facts(element, pairs) fills a list of them; source(entry) is the query for where its content is
  constructor(box, { plan, facts, say, fail, source }) {
    Object.assign(this, { box, plan, facts, say, fail, source });
    plan.addEventListener('change', () => this.update());
  }

  clear() {
    this.entry = null;
    this.box.replaceChildren(make('p', 'dim', 'Choose a file to see what it is, and which layers had a hand in it.'));
  }

  // The button says what the plan has for the path, wherever that was picked.
  update() {
    const { entry, drop, plan } = this;
    if (!entry || !drop) return;
    const above = plan.covers(entry.path) && !plan.paths.has(entry.path);
    drop.textContent = above ? 'Goes with its directory' : plan.covers(entry.path) ? 'Keep it' : 'Take it out';
    drop.disabled = above;
  }

  async show(image, entry) {
    const { box } = this;
    const base = `/images/${image.id}/files/${entry.path}`;
    const from = this.source(entry);
    this.entry = entry;
    const title = make('h3', '');
    title.append(make('bdi', '', '/' + entry.display));
    const about = make('dl', 'facts');
    const isSized = entry.type === 'file' || entry.type === 'dir';
    this.facts(about, [
      ['Type', kind(entry)], [entry.type === 'dir' ? 'Size of all in it' : 'Size', isSized ? exactSize(entry.size) : ''],
      ['Mode', mode(entry.mode)], ['Owner', `${entry.uid}:${entry.gid}`],
      ['Changed', time(entry.mtime)],
      ['Leads to', entry.linkpath], ['Names', entry.links > 1 ? String(entry.links) : ''],
    ]);
    const actions = make('div', 'actions');
    this.drop = make('button', '');
    this.drop.type = 'button';
    this.drop.addEventListener('click', () => this.plan.togglePath(entry));
    this.update();
    actions.append(this.drop);
    if (entry.type === 'file') {
      const save = make('a', 'button', 'Download');
      save.href = `${base}?download=1${from && '&' + from}`;
      save.download = plain(entry.name);
      actions.append(save);
    }
    box.replaceChildren(title, about, actions);
    this.say(`${plain(entry.display)}: ${kind(entry)}${isSized ? ', ' + size(entry.size) : ''}`
      + (entry.layer ? `, from layer ${entry.layer}` : ''));
    if (entry.type === 'dir') return;
    const more = await get(`${base}${from && '?' + from}`).catch(this.fail);
    if (!more || !box.contains(title)) return;
    this.showMore(more);
  }

  showMore(more) {
    const rows = list(more.history).map((row) => {
      const item = make('li');
      item.append(badge(row.layer), ' ',
        make('span', '', ACTIONS[row.action] || row.action), ' ', make('span', 'dim', step(row.created_by).slice(0, 90)));
      return item;
    });
    const history = make('ol', 'path-history');
    history.append(...rows);
    this.box.append(make('h4', '', 'Layers'), history);
    if (more.text) {
      const title = more.truncated ? 'Beginning' : 'Content';
      const content = make('pre', '', more.text.slice(0, 20000), true);
      content.tabIndex = 0; // it scrolls
      content.setAttribute('role', 'region');
      content.setAttribute('aria-label', title);
      this.box.append(make('h4', '', title), content);
    } else if (more.binary) {
      this.box.append(make('p', 'dim', 'No text.'));
    }
  }
}
