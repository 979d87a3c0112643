// The layers beside the history that made them, and the file tree of each.

import { list } from './api.js';
import { badge, kind } from './rows.js';
import { count, make, mode, plain, short, show, size, time } from './text.js';
import { Tree } from './tree.js';

// What a step of a build says, without what every step says.
export function step(text) {
  return (text || '').replace(/^\/bin\/sh -c #\(nop\)\s+/, '').replace(/^(RUN )?\/bin\/sh -c /, 'RUN ')
    .replace(/\s+# buildkit$/, '').replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, '$1…');
}

// A layer with no more entries is shown with its directories open, if they are not many.
const SMALL = 100;
const OPENED = 16;

const FATES = { replaced: 'replaced in', removed: 'removed in', emptied: 'emptied in' };

// The notes of an entry of a layer.
function look(facts) {
  const notes = [];
  const said = [];
  const note = (className, short_, long) => {
    const one = make('span', `note ${className}`, short_);
    one.title = long;
    notes.push(one);
    said.push(long);
  };
  if (facts.whiteout) note('takes', 'removes', 'removes what lower layers have');
  if (facts.opaque) note('takes', 'opaque', 'hides what lower layers have in it');
  if (facts.copies) note('', `${facts.copies} times`, `${facts.copies} entries, the last one counts`);
  if (facts.above) {
    const mark = make('span', 'fate', FATES[facts.above.action] + ' ');
    mark.append(badge(facts.above.layer));
    notes.push(mark);
    said.push(`${FATES[facts.above.action]} layer ${facts.above.layer}`);
  }
  return {
    notes, said, label: facts.whiteout ? facts.name.replace(/^\.wh\./, '') : undefined, removes: facts.whiteout,
    gone: facts.above && facts.above.action !== 'emptied',
  };
}

export class Layers {
  constructor({ table, section, title, about, box, strip }, { plan, fail }) {
    Object.assign(this, { table, section, title, about, strip });
    this.tree = new Tree(box, { plan, fail, look, show: (facts) => this.describe(facts) });
  }

  load(image) {
    this.image = image;
    this.shown = undefined;
    this.section.hidden = true;
    const layers = list(image.layers);
    const largest = Math.max(1, ...layers.map((one) => one.size));
    const seen = new Set();
    const lines = list(image.history).map((row) => {
      if (row.layer) seen.add(row.layer);
      return this.line(row, row.layer && layers[row.layer - 1], largest);
    });
    for (const one of layers) {
      if (!seen.has(one.position)) lines.push(this.line({}, one, largest));
    }
    this.table.tBodies[0].replaceChildren(...lines);
  }

  // For when they come into sight: something is shown.
  begin() {
    const first = list(this.image?.layers)[0];
    if (first && !this.shown) this.show(first);
  }

  line(row, one, largest) {
    const line = document.createElement('tr');
    const first = make('td');
    const cell = make('td', 'step');
    const text = step(row.created_by);
    if (text) cell.append(make('span', '', text));
    if (row.comment) cell.append(make('span', 'dim', row.comment));
    if (!text && !row.comment && one) cell.append(make('span', '', '(not told)'));
    cell.title = plain([row.created_by, row.comment].filter(Boolean).join('\n'));
    const cells = [first, cell];
    if (one) {
      const button = make('button', `badge layer-${one.position % 6}`, one.position);
      button.type = 'button';
      button.setAttribute('aria-label', `Files of layer ${one.position}`);
      first.append(button);
      line.dataset.layer = one.position;
      line.addEventListener('click', (event) => {
        button.focus({ preventScroll: true });
        this.show(one, event.target === button);
      });
      const meter = make('td', 'n');
      const bar = document.createElement('progress');
      bar.max = largest;
      bar.value = one.size;
      bar.setAttribute('aria-hidden', 'true');
      meter.append(make('span', '', size(one.size)), bar);
      cells.push(meter, make('td', one.wasted > 0 ? 'n warn' : 'n dim', one.wasted > 0 ? size(one.wasted) : '–'));
    } else {
      line.className = 'empty';
      const rest = make('td', 'n dim', 'no layer');
      rest.colSpan = 2;
      cells.push(rest);
    }
    line.append(...cells);
    return line;
  }

  async show(one, focus) {
    this.shown = one.position;
    for (const line of this.table.tBodies[0].rows) {
      const is = line.dataset.layer === String(one.position);
      line.classList.toggle('chosen', is);
      const button = line.querySelector('button');
      if (is) button.setAttribute('aria-current', 'true');
      else button?.removeAttribute('aria-current');
    }
    this.section.hidden = false;
    show(this.title, `Layer ${one.position}`);
    show(this.about, [
      count(one.entries, 'entry', 'entries'), one.bytes > 0 ? `${size(one.bytes)} of files` : '',
      one.whiteouts > 0 ? count(one.whiteouts, 'removal', 'removals') : '',
      one.compression && one.compression !== 'none' ? one.compression : '', short(one.diff_id),
    ].filter(Boolean).join(' · '));
    this.describe(null);
    const base = `/images/${this.image.id}/layers/${one.position}/entries?dir=`;
    await this.tree.load((path) => `${base}${path}&`);
    if (one.entries <= SMALL) await this.tree.openAll(OPENED);
    if (this.shown !== one.position) return;
    if (!this.table.contains(document.activeElement)) return;
    this.section.scrollIntoView({ block: 'nearest' });
    if (focus && this.tree.rows.length > 0) this.tree.list.focus(0);
  }

  // One line of facts on the entry that is chosen.
  describe(facts) {
    const { strip } = this;
    strip.replaceChildren();
    if (!facts) {
      strip.append(make('span', 'dim', 'Enter shows the facts of an entry here.'));
      return;
    }
    const words = facts.implied ? ['no entry of its own'] : [
      kind(facts), facts.type === 'file' ? size(facts.size) : '', mode(facts.mode), `${facts.uid}:${facts.gid}`, time(facts.mtime),
    ];
    strip.append(make('bdi', 'code', '/' + facts.display), make('span', 'dim',
      [...(facts.whiteout ? [] : words.filter(Boolean)), ...look(facts).said].join(' · ')));
  }
}
