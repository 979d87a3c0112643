// What rows of entries look like, in the merged tree and in that of a layer.

import { make, mode, plain, size } from './text.js';

const KINDS = {
  dir: 'directory', file: 'file', symlink: 'link', hardlink: 'hard link', char: 'device', block: 'device', fifo: 'pipe',
};

export const kind = (facts) => KINDS[facts.type] || facts.type;

// Deeper ones are not moved further to the right: the name must have a place.
const DEEPEST = 12;

export function badge(layer) {
  return make('span', `badge layer-${layer % 6}`, layer);
}

function nameCell(facts, level, open, label) {
  const cell = make('span', 'c-name');
  cell.style.setProperty('--depth', Math.min(level - 1, DEEPEST));
  const twist = make('span', 'twist', open === undefined ? '' : open ? '▾' : '▸');
  if (level - 1 > DEEPEST) cell.append(make('span', 'depth', `${level} `));
  cell.append(twist, make('bdi', `name ${facts.type}`, label ?? facts.name));
  if (facts.linkpath) {
    const target = make('bdi', 'dim target');
    target.append('→ ', ...make('span', '', facts.linkpath).childNodes);
    cell.append(target);
  }
  return cell;
}

// Fills a row. picked: "true", "false" or, when something below is, "mixed"; undefined when it cannot be.
// notes: elements of the third column; said: what they say to those who do not see them.
export function fill(row, facts, { level, open, picked, notes, said, label, mark }) {
  const box = make('span', picked === undefined ? 'box none' : 'box');
  const third = make('span', 'c-layer');
  third.append(...notes);
  const isSized = (facts.type === 'file' && !facts.whiteout) || (facts.type === 'dir' && facts.size > 0);
  const bytes = isSized ? size(facts.size) : '';
  const told = facts.mode !== undefined && !facts.whiteout;
  row.replaceChildren(box, nameCell(facts, level, open, label), third,
    make('span', 'c-mode', told ? mode(facts.mode) : ''), make('span', 'c-owner', told ? `${facts.uid}:${facts.gid}` : ''),
    make('span', 'c-size', bytes));
  row.dataset.mark = mark ?? '';
  row.title = plain(facts.display);
  row.classList.toggle('marked', picked === 'true');
  row.classList.toggle('mixed', picked === 'mixed');
  row.setAttribute('aria-level', level);
  row.setAttribute('aria-label', [plain(label ?? facts.name), facts.whiteout ? '' : kind(facts), bytes,
    facts.linkpath ? `to ${plain(facts.linkpath)}` : '', ...said].filter(Boolean).join(', '));
  if (picked === undefined) row.removeAttribute('aria-checked');
  else row.setAttribute('aria-checked', picked);
  if (open === undefined) row.removeAttribute('aria-expanded');
  else row.setAttribute('aria-expanded', open);
}

// A row whose page is on its way.
export function wait(row, level) {
  row.replaceChildren(make('span', 'box none'), make('span', 'c-name dim', '…'));
  for (const name of ['aria-expanded', 'aria-checked']) row.removeAttribute(name);
  row.setAttribute('aria-level', level);
  row.setAttribute('aria-label', 'loading');
}
