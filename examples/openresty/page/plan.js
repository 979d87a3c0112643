// What is to be changed. Tells "change" whenever it does.

import { format } from './healthcheck.js';
import { count, size } from './text.js';

const DURATION = /^\/config\/Healthcheck\/(Interval|Timeout|Start\w+)$/;

// A value as people write it; undefined where the name says all.
function said(name, value) {
  if (value === null || value === true) return undefined;
  if (DURATION.test(name)) return format(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export class Plan extends EventTarget {
  constructor() {
    super();
    this.clear();
  }

  clear() {
    this.paths = new Map();
    this.waste = new Map();
    this.wastesAll = undefined;
    this.maps = { env: new Map(), labels: new Map(), ports: new Map(), volumes: new Map(), config: new Map() };
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event('change'));
  }

  // Whether a path is picked, or something above it.
  covers(path) {
    if (this.paths.size === 0) return false;
    for (let at = path; at; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      if (this.paths.has(at)) return true;
    }
    return false;
  }

  // Whether something below a path is picked.
  reaches(path) {
    for (const at of this.paths.keys()) {
      if (at.startsWith(path + '/')) return true;
    }
    return false;
  }

  togglePath(facts) {
    if (!facts.path) return;
    if (!this.paths.delete(facts.path)) {
      if (this.covers(facts.path)) return; // it goes with what is above it
      for (const other of this.paths.keys()) {
        if (other.startsWith(facts.path + '/')) this.paths.delete(other);
      }
      this.paths.set(facts.path, facts.display);
    }
    this.changed();
  }

  // A file that no container sees goes out of its layer.
  wastes(one) {
    return this.waste.has(`${one.layer} ${one.path}`);
  }

  toggleWaste(one) {
    const key = `${one.layer} ${one.path}`;
    if (!this.waste.delete(key)) this.waste.set(key, { path: one.path, layer: one.layer, display: one.display });
    this.changed();
  }

  // All of them.
  wasteAll(files, bytes) {
    this.wastesAll = this.wastesAll ? undefined : { files, bytes };
    this.waste.clear();
    this.changed();
  }

  // A setting: value null deletes it, undefined leaves it as it was.
  set(map, name, value) {
    if (value === undefined) this.maps[map].delete(name);
    else this.maps[map].set(name, value);
    this.changed();
  }

  // What is done, one by one: a text in three parts, and how it is taken back.
  items() {
    const list = [...this.paths].map(([path, display]) => (
      { verb: 'take out', what: '/' + display, undo: () => this.togglePath({ path }) }));
    for (const one of this.waste.values()) {
      list.push({ verb: 'take out unseen', what: `/${one.display} of layer ${one.layer}`, undo: () => this.toggleWaste(one) });
    }
    if (this.wastesAll) {
      const { files, bytes } = this.wastesAll;
      list.push({ verb: 'take out unseen', what: `${count(files, 'file', 'files')}, ${size(bytes)}`, undo: () => this.wasteAll() });
    }
    const titles = { env: 'variable', labels: 'label', ports: 'port', volumes: 'volume', config: '' };
    for (const [map, values] of Object.entries(this.maps)) {
      for (const [name, value] of values) {
        const verb = value === null ? 'remove' : value === true ? 'add' : 'set';
        list.push({
          verb: `${verb} ${titles[map]}`.trim(), what: name.replace(/^\/config\/(\w+)\//, '$1 '),
          value: said(name, value),
          undo: () => this.set(map, name, undefined),
        });
      }
    }
    return list;
  }

  // As the server wants it.
  request() {
    const wish = {};
    if (this.paths.size > 0) wish.paths = [...this.paths.keys()];
    if (this.wastesAll) wish.waste = true;
    else if (this.waste.size > 0) wish.waste = [...this.waste.values()].map(({ path, layer }) => ({ path, layer }));
    for (const [map, values] of Object.entries(this.maps)) {
      if (values.size > 0) wish[map] = Object.fromEntries(values);
    }
    return wish;
  }
}
