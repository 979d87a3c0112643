// A file system as a tree, after the pattern of WAI-ARIA. Directories are fetched
// when they are opened, a page at a time, and long ones as far as they are scrolled.

import { get } from './api.js';
import * as rows from './rows.js';
import { VirtualList } from './vlist.js';

const PAGE = 500;
const PAUSE = 800; // milliseconds between letters of one name

export class Tree {
  // plan: what is picked; show(facts): one is chosen; look(facts): its notes, what they say, its label
  constructor(box, { plan, show, fail, look }) {
    Object.assign(this, { plan, show, fail, look, rows: [] });
    this.list = new VirtualList(box, {
      draw: (row, index) => this.draw(row, index),
      key: (event, index) => this.key(event, index),
      pick: (index, event) => this.pick(index, event),
    });
    plan.addEventListener('change', () => this.list.refresh());
  }

  // url(path): where a directory is, up to "?" or "&".
  async load(url) {
    this.url = url;
    this.root = { path: '', level: 0, open: true, pages: new Set() };
    this.rows = [];
    this.chosen = undefined;
    this.list.update(0);
    this.list.box.setAttribute('aria-busy', true);
    await this.open(this.root);
    if (url === this.url) this.list.box.removeAttribute('aria-busy');
  }

  // Opens what a path is in, and goes to it. Whether it is there.
  async reveal(path) {
    await this.loading;
    const { url } = this;
    let node = this.root;
    for (const [at, name] of path.split('/').entries()) {
      const directory = path.split('/').slice(0, at).join('/');
      const answer = await get(`${url(directory)}find=${name}&limit=1`).catch(() => ({}));
      if (!answer.found || url !== this.url) return false;
      if (!node.open) await this.open(node);
      const child = node.children[answer.found - 1];
      if (!child.facts) await this.need(child);
      node = child;
    }
    this.list.focus(this.rows.indexOf(node));
    this.choose(node);
    return Boolean(node.facts);
  }

  async fetchPage(node, page) {
    if (node.pages.has(page)) return null;
    node.pages.add(page);
    const { url } = this;
    try {
      const answer = await get(`${url(node.path)}offset=${page * PAGE}&limit=${PAGE}`);
      return url === this.url ? answer : null;
    } catch (error) {
      node.pages.delete(page);
      if (url === this.url) this.fail(error);
      return null;
    }
  }

  fillPage(node, answer) {
    answer.entries.forEach((facts, i) => {
      const child = node.children[answer.offset + i];
      if (child) Object.assign(child, { facts, path: facts.path });
    });
  }

  async open(node) {
    if (!node.children) {
      const answer = await this.fetchPage(node, 0);
      if (!answer) return;
      node.children = Array.from({ length: answer.total }, (_, at) => (
        { parent: node, at, level: node.level + 1, open: false, pages: new Set() }));
      node.pages.add(0);
      this.fillPage(node, answer);
    }
    const at = node === this.root ? 0 : this.rows.indexOf(node) + 1;
    node.open = true;
    if (at === 0 && node !== this.root) return; // what it is in was closed meanwhile
    const active = this.rows[this.list.active];
    this.rows = this.rows.slice(0, at).concat(this.visible(node), this.rows.slice(at));
    this.list.update(this.rows.length, active && this.rows.indexOf(active));
  }

  // Opens directories from above, so many at most.
  async openAll(most) {
    const { url } = this;
    for (let at = 0, n = 0; at < this.rows.length && n < most && url === this.url; at += 1) {
      const node = this.rows[at];
      if (!node.open && this.canOpen(node)) {
        n += 1;
        await this.open(node);
      }
    }
  }

  // What an open directory shows.
  visible(top) {
    const found = [];
    const stack = [[top, 0]];
    while (stack.length > 0) {
      const place = stack[stack.length - 1];
      const child = place[0].children[place[1]];
      place[1] += 1;
      if (!child) stack.pop();
      else {
        found.push(child);
        if (child.open) stack.push([child, 0]);
      }
    }
    return found;
  }

  close(node) {
    const active = this.rows[this.list.active];
    const at = this.rows.indexOf(node) + 1;
    let end = at;
    while (end < this.rows.length && this.rows[end].level > node.level) end += 1;
    this.rows = this.rows.slice(0, at).concat(this.rows.slice(end));
    node.open = false;
    const to = this.rows.indexOf(active);
    this.list.update(this.rows.length, to < 0 ? at - 1 : to);
  }

  canOpen(node) {
    return node.facts?.type === 'dir' || Boolean(node.facts?.below);
  }

  toggle(node) {
    if (!this.canOpen(node)) return;
    if (node.open) this.close(node);
    else this.open(node);
  }

  async need(node) {
    const answer = await this.fetchPage(node.parent, Math.floor(node.at / PAGE));
    if (!answer) return;
    this.fillPage(node.parent, answer);
    this.list.refresh();
  }

  draw(row, index) {
    const node = this.rows[index];
    row.setAttribute('aria-setsize', node.parent.children.length);
    row.setAttribute('aria-posinset', node.at + 1);
    if (!node.facts) {
      rows.wait(row, node.level);
      this.need(node);
      return;
    }
    const { facts } = node;
    rows.fill(row, facts, {
      level: node.level, open: this.canOpen(node) ? node.open : undefined, picked: this.picked(facts), ...this.look(facts),
    });
    for (const name of ['removes', 'gone']) row.classList.toggle(name, Boolean(this.look(facts)[name]));
    row.classList.toggle('chosen', node === this.chosen);
    row.setAttribute('aria-selected', node === this.chosen);
  }

  picked(facts) {
    if (facts.whiteout) return undefined;
    if (this.plan.covers(facts.path)) return 'true';
    return this.canOpen({ facts }) && this.plan.reaches(facts.path) ? 'mixed' : 'false';
  }

  choose(node) {
    if (!node.facts) return;
    this.chosen = node;
    this.list.refresh();
    this.show(node.facts);
  }

  mark(node) {
    if (node.facts && !node.facts.whiteout) this.plan.togglePath(node.facts);
  }

  key(event, index) {
    const node = this.rows[index];
    if (!node) return false;
    if (event.key.length > 1) this.typedAt = undefined;
    switch (event.key) {
      case 'ArrowRight':
        if (!node.open) this.toggle(node);
        else if (node.children.length > 0) this.list.focus(index + 1);
        return true;
      case 'ArrowLeft':
        if (node.open) this.close(node);
        else if (node.parent !== this.root) this.list.focus(this.rows.indexOf(node.parent));
        return true;
      case 'Enter':
        this.choose(node);
        return true;
      case ' ':
        this.mark(node);
        return true;
      case '*':
        for (const one of node.parent.children) {
          if (this.canOpen(one) && !one.open) this.open(one);
        }
        return true;
      default:
        return event.key.length === 1 && event.key !== '/' && this.find(event.key, index);
    }
  }

  // The next row whose name begins with the letters that were typed without a pause; one letter
  // again and again goes through all that begin with it.
  find(letter, index) {
    const now = performance.now();
    const typed = now - (this.typedAt ?? -PAUSE) < PAUSE ? this.typed + letter.toLowerCase() : letter.toLowerCase();
    Object.assign(this, { typed, typedAt: now });
    const one = [...typed].every((char) => char === typed[0]);
    const start = one ? typed[0] : typed;
    const n = this.rows.length;
    for (let step = one ? 1 : 0; step < n; step += 1) {
      const at = (index + step) % n;
      const { facts } = this.rows[at];
      const seen = facts && (this.look(facts).label ?? facts.name);
      if (seen?.toLowerCase().startsWith(start)) {
        this.list.focus(at);
        break;
      }
    }
    return true;
  }

  pick(index, event) {
    const node = this.rows[index];
    if (!node?.facts) return;
    if (event.target.closest('.box')) this.mark(node);
    else if (event.target.closest('.twist')) this.toggle(node);
    else {
      this.choose(node);
      // The second click on a name has nothing to add; elsewhere it takes two.
      if (event.target.closest('.name') ? event.detail < 2 : event.detail === 2) this.toggle(node);
    }
  }
}
