// The merged file system as a tree. Directories are fetched when they are
// opened, a page at a time, and long ones as far as they are scrolled.

import { get } from './api.js';
import * as rows from './rows.js';
import { VirtualList } from './vlist.js';
import { make } from './text.js';

const PAGE = 500;

export class Tree {
  // show(facts): one is chosen; plan: what is marked
  constructor(box, { plan, show, fail }) {
    Object.assign(this, { plan, show, fail, rows: [] });
    this.list = new VirtualList(box, {
      draw: (row, index) => this.draw(row, index),
      key: (event, index) => this.key(event, index),
      pick: (index, event) => this.pick(index, event),
    });
    plan.addEventListener('change', () => this.list.refresh());
  }

  async load(base) {
    this.base = base;
    this.root = { path: '', level: 0, open: true, pages: new Set() };
    this.rows = [];
    this.list.update(0, true);
    await this.open(this.root);
  }

  async fetchPage(node, page) {
    if (node.pages.has(page)) return null;
    node.pages.add(page);
    const base = this.base;
    try {
      const answer = await get(`${base}/files/${node.path}${node.path ? '/' : ''}?offset=${page * PAGE}&limit=${PAGE}`);
      return base === this.base ? answer : null;
    } catch (error) {
      node.pages.delete(page);
      this.fail(error);
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
    node.open = true;
    if (!node.children) {
      const answer = await this.fetchPage(node, 0);
      if (!answer) {
        node.open = false;
        return;
      }
      node.children = Array.from({ length: answer.total }, (_, at) => (
        { parent: node, at, level: node.level + 1, open: false, pages: new Set() }));
      this.fillPage(node, answer);
    }
    const at = node === this.root ? 0 : this.rows.indexOf(node) + 1;
    this.rows = this.rows.slice(0, at).concat(this.visible(node), this.rows.slice(at));
    this.list.update(this.rows.length);
  }

  // What an open directory shows.
  visible(node) {
    return node.children.flatMap((child) => (child.open ? [child, ...this.visible(child)] : [child]));
  }

  close(node) {
    const at = this.rows.indexOf(node) + 1;
    let end = at;
    while (end < this.rows.length && this.rows[end].level > node.level) end += 1;
    this.rows = this.rows.slice(0, at).concat(this.rows.slice(end));
    node.open = false;
    this.list.update(this.rows.length);
  }

  toggle(node) {
    if (node.facts?.type !== 'dir') return;
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
    const isDir = facts.type === 'dir';
    const third = make('span', 'c-layer');
    if (facts.layer) {
      const badge = make('span', `badge layer-${facts.layer % 6}`, facts.layer);
      badge.title = `from layer ${facts.layer}`;
      third.append(badge);
    }
    rows.fill(row, facts, {
      level: node.level, open: isDir ? node.open : undefined, marked: this.plan.covers(facts.path), third,
    });
    if (isDir) row.setAttribute('aria-expanded', node.open);
    else row.removeAttribute('aria-expanded');
    row.classList.toggle('chosen', node === this.chosen);
  }

  choose(node) {
    if (!node.facts) return;
    this.chosen = node;
    this.list.refresh();
    this.show(node.facts);
  }

  key(event, index) {
    const node = this.rows[index];
    switch (event.key) {
      case 'ArrowRight':
        if (node.open) this.list.focus(index + 1);
        else this.toggle(node);
        return true;
      case 'ArrowLeft':
        if (node.open) this.close(node);
        else if (node.parent !== this.root) this.list.focus(this.rows.indexOf(node.parent));
        return true;
      case 'Enter':
        this.choose(node);
        return true;
      case ' ':
        if (node.facts) this.plan.togglePath(node.facts);
        return true;
      default:
        return event.key.length === 1 && this.find(event.key, index);
    }
  }

  // The next row whose name begins with a letter.
  find(letter, index) {
    const n = this.rows.length;
    for (let step = 1; step < n; step += 1) {
      const at = (index + step) % n;
      if (this.rows[at].facts?.name.toLowerCase().startsWith(letter.toLowerCase())) {
        this.list.focus(at);
        break;
      }
    }
    return true;
  }

  pick(index, event) {
    const node = this.rows[index];
    if (!node.facts) return;
    if (event.target.closest('.box')) this.plan.togglePath(node.facts);
    else if (event.target.closest('.twist')) this.toggle(node);
    else {
      this.choose(node);
      if (event.detail === 2) this.toggle(node);
    }
  }
}
