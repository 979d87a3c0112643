// Which tree is shown and in what order: all layers, the first ones, or one of them; what the
// layer does to each path is told by a sign and a colour, and can be hidden.

import { list } from './api.js';
import { badge } from './rows.js';
import { make, plain } from './text.js';

// What a layer does to a path: its sign, its words, and the names that the server has for it.
export const MARKS = [
  { name: 'added', sign: '+', said: 'added', changes: ['added'] },
  { name: 'changed', sign: '~', said: 'changed', changes: ['changed', 'metadata'] },
  { name: 'removed', sign: '−', said: 'removed', changes: ['removed'] },
  { name: 'unchanged', sign: '=', said: 'unchanged', changes: ['repeated', 'below'] },
];

const SAID = {
  added: 'added', changed: 'changed', metadata: 'changed in mode, owner or time', removed: 'removed',
  repeated: 'there again, unchanged', below: 'unchanged, from below',
};

export const markOf = (change) => MARKS.find((one) => one.changes.includes(change));

function option(value, title) {
  const one = document.createElement('option');
  one.value = value;
  one.textContent = title; // an option has no elements in it
  return one;
}

function group(title, options) {
  const one = document.createElement('optgroup');
  one.label = title;
  one.append(...options);
  return one;
}

// Tells "change" when another tree is wanted.
export class View extends EventTarget {
  constructor({ select, marks, sorts }) {
    super();
    Object.assign(this, { select, marks, sorts, hidden: new Set(), sort: 'name' });
    select.addEventListener('change', () => this.changed());
    for (const [name, button] of Object.entries(sorts)) {
      button.addEventListener('click', () => {
        this.sort = name;
        this.changed();
      });
    }
    marks.append(...MARKS.map((one) => {
      const button = make('button', 'mark');
      button.type = 'button';
      button.append(make('span', `sign ${one.name}`, one.sign), ` ${one.said}`);
      button.setAttribute('aria-label', `Show what is ${one.said}`);
      button.addEventListener('click', () => {
        if (!this.hidden.delete(one.name)) this.hidden.add(one.name);
        this.changed();
      });
      return button;
    }));
  }

  load(image, step) {
    this.image = image;
    this.hidden.clear();
    this.sort = 'name';
    const layers = list(image.layers);
    const said = new Map(list(image.history).map((row) => [row.layer, step(row.created_by) || row.comment || '']));
    const title = (one) => {
      const text = plain(said.get(one.position) || '').slice(0, 48);
      return text ? `: ${text}` : '';
    };
    this.select.replaceChildren(
      option('', 'All layers together'),
      group('The first layers together', layers.map((one) => option(`upto ${one.position}`, `Layers 1 to ${one.position}${title(one)}`))),
      group('One layer by itself', layers.map((one) => option(`alone ${one.position}`, `Layer ${one.position} alone${title(one)}`))),
    );
    this.update();
  }

  // The number of the layer whose changes are told; undefined when all layers are shown together.
  get upto() {
    const [, number] = this.select.value.split(' ');
    return number ? Number(number) : undefined;
  }

  // Goes to the tree of the first layers, or to that of all.
  go(upto) {
    this.hidden.clear();
    this.select.value = upto ? `upto ${upto}` : '';
    this.changed();
  }

  changed() {
    this.update();
    this.dispatchEvent(new Event('change'));
  }

  update() {
    this.marks.hidden = !this.upto;
    const buttons = [...this.marks.querySelectorAll('button')];
    MARKS.forEach((one, at) => buttons[at].setAttribute('aria-pressed', !this.hidden.has(one.name)));
    for (const [name, button] of Object.entries(this.sorts)) {
      button.setAttribute('aria-pressed', this.sort === name);
    }
  }

  // What stands behind "?" of the request for a directory, with "&" at its end.
  query() {
    const parts = [`sort=${this.sort}`];
    if (this.upto) {
      const hide = MARKS.filter((one) => this.hidden.has(one.name)).flatMap((one) => one.changes);
      if (this.select.value.startsWith('alone')) hide.push('below');
      parts.push(`upto=${this.upto}`);
      if (hide.length > 0) parts.push(`hide=${hide.join(',')}`);
    }
    return parts.join('&') + '&';
  }

  url(directory) {
    return `/images/${this.image.id}/files/${directory}${directory && '/'}?${this.query()}`;
  }

  // Where the facts of an entry come from: what the layer has removed is in those below it.
  source(entry) {
    if (!this.upto) return '';
    return `upto=${entry.change === 'removed' ? this.upto - 1 : this.upto}`;
  }

  // The notes of an entry of the tree.
  look(facts) {
    const notes = [];
    const said = [];
    const mark = facts.change && markOf(facts.change);
    if (mark) {
      const sign = make('span', `sign ${mark.name}`, mark.sign);
      sign.title = SAID[facts.change];
      notes.push(sign);
      said.push(SAID[facts.change]);
    }
    const inside = list(facts.inside).map((name) => MARKS.find((one) => one.name === name));
    if (inside.length > 0) {
      notes.unshift(...inside.map((one) => {
        const sign = make('span', `sign small ${one.name}`, one.sign);
        sign.title = `something in it is ${one.said}`;
        return sign;
      }));
      said.push(`${inside.map((one) => one.said).join(' and ')} in it`);
    }
    if (facts.layer) {
      const from = badge(facts.layer);
      from.title = `from layer ${facts.layer}`;
      notes.push(from);
      said.push(from.title);
    }
    return { notes, said, mark: mark?.name };
  }
}
