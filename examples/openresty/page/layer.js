// The entries of a layer in the order of its tar, fetched where they are looked at.

import { get } from './api.js';
import * as rows from './rows.js';
import { VirtualList } from './vlist.js';
import { make } from './text.js';

const PAGE = 1000;

export class Layer {
  constructor(box, { plan, fail }) {
    Object.assign(this, { plan, fail, pages: new Map(), total: 0 });
    this.list = new VirtualList(box, {
      draw: (row, index) => this.draw(row, index),
      key: (event, index) => event.key === ' ' && this.toggle(index),
      pick: (index, event) => event.target.closest('.box') && this.toggle(index),
    });
    plan.addEventListener('change', () => this.list.refresh());
  }

  async load(base, total) {
    Object.assign(this, { base, total, pages: new Map() });
    this.list.update(total, true);
  }

  at(index) {
    const page = Math.floor(index / PAGE);
    if (!this.pages.has(page)) this.fetchPage(page);
    return this.pages.get(page)?.[index % PAGE];
  }

  async fetchPage(page) {
    const { base, pages } = this;
    pages.set(page, null);
    try {
      pages.set(page, (await get(`${base}/entries?offset=${page * PAGE}&limit=${PAGE}`)).entries);
    } catch (error) {
      pages.delete(page);
      this.fail(error);
      return;
    }
    if (pages === this.pages) this.list.refresh();
  }

  toggle(index) {
    const facts = this.at(index);
    if (facts && facts.path && !facts.whiteout && !facts.opaque) this.plan.togglePath(facts);
    return true;
  }

  draw(row, index) {
    const facts = this.at(index);
    row.setAttribute('aria-setsize', this.total);
    row.setAttribute('aria-posinset', index + 1);
    if (!facts) {
      rows.wait(row, 1);
      return;
    }
    const level = facts.path.split('/').length;
    const removes = facts.whiteout || facts.opaque;
    const label = facts.opaque ? `hides what was in ${facts.opaque}` : facts.whiteout ? `removes ${facts.whiteout}` : undefined;
    rows.fill(row, facts, {
      level, marked: this.plan.covers(facts.path), third: make('span', 'c-layer dim', removes ? '' : rows.kind(facts)),
      label: label ?? (facts.name || '/'),
    });
    row.classList.toggle('removes', Boolean(removes));
  }
}
