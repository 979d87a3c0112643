// A list of paths in place of the tree: what a search found, the largest files, what is wasted.

import { badge } from './rows.js';
import { count, make, plain, size } from './text.js';

export class Found {
  // go(one): the path of a row is wanted in the tree
  constructor({ section, title, about, box, more, close, back, tree }, { go }) {
    Object.assign(this, { section, title, about, box, more, back, tree, go });
    close.addEventListener('click', () => this.close(true));
    back.addEventListener('click', () => this.open(true));
    section.addEventListener('keydown', (event) => this.key(event));
  }

  // rows: { path, display, layer, size, notes, gone, action }, so many more are not among them
  show(title, about, rows, more) {
    this.title.textContent = title;
    this.about.replaceChildren(...about);
    this.box.replaceChildren(...rows.map((one) => this.row(one)));
    this.more.textContent = more > 0 ? `${count(more, 'path', 'paths')} more` : '';
    this.open();
  }

  row(one) {
    const item = make('li', 'found-row');
    const go = make('button', one.gone ? 'found-path gone' : 'found-path');
    go.type = 'button';
    go.append(make('bdi', '', `/${one.display}${one.type === 'dir' ? '/' : ''}`));
    go.title = plain(one.display);
    go.addEventListener('click', () => {
      this.close();
      this.back.hidden = false;
      this.go(one);
    });
    const facts = make('span', 'found-facts');
    if (one.layer) facts.append(badge(one.layer));
    facts.append(...(one.notes || []));
    item.append(go, facts, make('span', 'c-size', one.size === undefined ? '' : size(one.size)));
    if (one.action) item.append(one.action);
    return item;
  }

  get isOpen() {
    return !this.section.hidden;
  }

  open(focus) {
    this.section.hidden = false;
    this.tree.hidden = true;
    this.back.hidden = true;
    if (focus) (this.box.querySelector('.found-path') || this.title).focus();
  }

  close(focus) {
    this.section.hidden = true;
    this.tree.hidden = false;
    this.back.hidden = true;
    if (focus) this.tree.querySelector('[tabindex="0"]')?.focus();
  }

  forget() {
    this.box.replaceChildren();
    this.close();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === 'Escape') this.close(true);
    else {
      const rows = [...this.box.querySelectorAll('.found-path')];
      const at = rows.indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
      if (at < 0 || to === undefined || !rows[to]) return;
      rows[to].focus();
    }
    event.preventDefault();
  }
}
