// What rows of entries look like, in the tree and in a layer.

import { make, mode, plain, size } from './text.js';

const KINDS = { dir: 'dir', file: 'file', symlink: 'link', hardlink: 'hard link', char: 'device', block: 'device', fifo: 'pipe' };

export const kind = (facts) => KINDS[facts.type] || facts.type;

// Fills a row. marked: it is picked, or below what is.
export function fill(row, facts, { level, open, marked, third, label }) {
  const name = make('span', 'c-name');
  name.style.paddingLeft = `${Math.min(level - 1, 24) * 16}px`;
  const twist = make('span', 'twist', open === undefined ? '' : open ? '▾' : '▸');
  twist.setAttribute('aria-hidden', 'true');
  const box = make('span', 'box');
  box.setAttribute('aria-hidden', 'true');
  const title = make('bdi', 'name ' + facts.type, label ?? facts.name);
  name.append(box, twist, title);
  if (facts.linkpath) name.append(make('span', 'dim target', '→ ' + facts.linkpath));
  row.replaceChildren(name, third, make('span', 'c-mode', mode(facts.mode)),
    make('span', 'c-size', facts.type === 'file' ? size(facts.size) : ''));
  row.title = plain(facts.display);
  row.classList.toggle('marked', marked);
  row.setAttribute('aria-level', level);
  row.setAttribute('aria-checked', marked);
}

// A row whose page is on its way.
export function wait(row, level) {
  row.replaceChildren(make('span', 'c-name dim', '…'));
  row.removeAttribute('aria-expanded');
  row.setAttribute('aria-level', level);
}
