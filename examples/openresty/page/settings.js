// The config of an image as a form. What is changed goes to the plan, when the server says that it can be.

import { list, post } from './api.js';
import { Healthcheck } from './healthcheck.js';
import { make, plain, show } from './text.js';

const TEXTS = [['User', 'User', 'root'], ['WorkingDir', 'Working directory', '/'], ['StopSignal', 'Stop signal', 'SIGTERM']];
const COMMANDS = [['Entrypoint', 'Entrypoint'], ['Cmd', 'Command']];
const SETS = [['ports', 'Exposed ports', 'ExposedPorts', '8080/tcp', 'Port'], ['volumes', 'Volumes', 'Volumes', '/var/lib/app', 'Path']];
const OTHERS = ['Shell', 'OnBuild'];

const byName = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function input(value, onChange) {
  const element = document.createElement('input');
  element.spellcheck = false;
  element.value = value;
  element.addEventListener('change', () => onChange(element));
  return element;
}

function field(title, element) {
  const label = make('label', 'field');
  label.append(make('span', 'field-name', title), element);
  return label;
}

function group(title, ...children) {
  const set = document.createElement('fieldset');
  set.append(make('legend', '', title), ...children);
  return set;
}

function remover(name) {
  const drop = make('button', 'quiet', '✕');
  drop.type = 'button';
  drop.setAttribute('aria-label', `Remove ${plain(name)}`);
  return drop;
}

export class Settings {
  constructor(form, plan, { fail }) {
    Object.assign(this, { form, plan, fail, undos: new Map(), asked: new Set(), serial: 0 });
    form.addEventListener('submit', (event) => event.preventDefault());
    plan.addEventListener('change', () => this.follow());
  }

  // Fields show what was before when a change is taken back in the plan.
  follow() {
    for (const [map, values] of Object.entries(this.plan.maps)) {
      for (const [key, reset] of this.undos) {
        const [of, name] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
        if (of === map && !values.has(name) && reset.changed) reset();
      }
    }
  }

  // Remembers how a field is set back.
  record(map, name, value, reset) {
    const key = `${map}:${name}`;
    let undo = this.undos.get(key);
    if (!undo) {
      undo = () => {
        undo.changed = false;
        reset();
      };
      this.undos.set(key, undo);
    }
    undo.changed = value !== undefined;
    this.plan.set(map, name, value);
  }

  // What is wrong with a value is told below its field, for those who do not see it as well.
  problem(element, text) {
    const place = element.closest('.field, .pair, .add');
    const id = (element.id ||= `setting-${this.serial += 1}`);
    let note = document.getElementById(`${id}-problem`);
    if (!text) {
      note?.remove();
      element.removeAttribute('aria-invalid');
      element.removeAttribute('aria-describedby');
      return;
    }
    if (!note) {
      note = make('p', 'problem');
      note.id = `${id}-problem`;
      note.setAttribute('role', 'alert');
      place.after(note);
    }
    show(note, text);
    element.setAttribute('aria-invalid', 'true');
    element.setAttribute('aria-describedby', note.id);
  }

  // Asks the server whether a setting can be; true when it can. What it says otherwise stands at the element.
  async allows(element, map, name, value) {
    const asked = post('/settings', { [map]: { [name]: value } });
    this.asked.add(asked);
    try {
      await asked;
    } catch (error) {
      this.problem(element, error.message);
      return false;
    } finally {
      this.asked.delete(asked);
    }
    this.problem(element, '');
    return true;
  }

  // Waits until all that was changed is in the plan; the field that cannot be as it is, if there is one.
  async settled() {
    await Promise.allSettled([...this.asked]);
    await new Promise((resolve) => { setTimeout(resolve); }); // those who have asked record the answers
    return this.form.querySelector('[aria-invalid="true"]');
  }

  // Records what a field says, if it can be; undefined: what it was.
  async change(element, map, name, value, reset) {
    const text = element.value;
    const setBack = () => {
      this.problem(element, '');
      reset();
    };
    if (value !== undefined && !await this.allows(element, map, name, value)) {
      if (element.isConnected) this.record(map, name, undefined, () => {});
      return;
    }
    if (value === undefined) this.problem(element, '');
    if (element.value !== text || !element.isConnected) return; // it has changed meanwhile
    this.record(map, name, value, setBack);
  }

  load(document_) {
    const config = document_.config || {};
    this.undos = new Map();
    this.form.replaceChildren(
      group('Process', ...TEXTS.map(([key, title, otherwise]) => this.text(key, title, config[key] ?? '', otherwise)),
        ...COMMANDS.map(([key, title]) => this.command(key, title, config[key]))),
      this.map('Environment', 'env', list(config.Env).map((one) => {
        const at = one.indexOf('=');
        return at < 0 ? [one, ''] : [one.slice(0, at), one.slice(at + 1)];
      })),
      ...SETS.map(([map, title, key, example, what]) => this.set(title, map, Object.keys(config[key] ?? {}).sort(byName), example, what)),
      new Healthcheck(this, config.Healthcheck).element,
      this.map('Labels', 'labels', Object.entries(config.Labels || {}).filter(([, value]) => typeof value === 'string')
        .sort(([a], [b]) => byName(a, b))),
      this.others(document_, config),
    );
  }

  text(key, title, before, otherwise) {
    const element = input(before, () => {
      const { value } = element;
      this.change(element, 'config', key, value === before ? undefined : value === '' ? null : value, () => {
        element.value = before;
      });
    });
    element.placeholder = otherwise;
    return field(title, element);
  }

  command(key, title, value) {
    const before = Array.isArray(value) && value.length > 0 ? JSON.stringify(value) : '';
    const element = input(before, () => {
      let parsed = null;
      try {
        if (element.value.trim() !== '') parsed = JSON.parse(element.value);
      } catch { /* the server would not understand it either */ parsed = undefined; }
      if (parsed !== null && !(Array.isArray(parsed) && parsed.every((one) => typeof one === 'string'))) {
        this.problem(element, 'This should be an array of strings, as ["/bin/sh", "-c", "echo hello"].');
        return;
      }
      this.change(element, 'config', key, element.value === before ? undefined : parsed, () => {
        element.value = before;
      });
    });
    element.classList.add('code');
    element.placeholder = '["/bin/sh", "-c"]';
    return field(title, element);
  }

  // The line that adds a name: onAdd(text, element) gives true when it did.
  adder(title, placeholder, onAdd) {
    const name = input('', () => {});
    name.placeholder = placeholder;
    name.setAttribute('aria-label', `New: ${title}`);
    const add = make('button', '', 'Add');
    add.type = 'button';
    const append = async () => {
      const text = name.value.trim();
      if (text === '') return;
      if (await onAdd(text, name)) {
        this.problem(name, '');
        name.value = '';
      }
    };
    add.addEventListener('click', append);
    name.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      append();
    });
    const line = make('div', 'add');
    line.append(name, add);
    return line;
  }

  map(title, map, pairs) {
    const rows = make('div', 'pairs');
    const known = new Set(pairs.map(([name]) => name));
    for (const [name, value] of pairs) rows.append(this.pair(map, name, value));
    return group(title, rows, this.adder(title, 'NAME', async (text, element) => {
      if (known.has(text) || this.undos.get(`${map}:${text}`)?.changed) {
        this.problem(element, `${plain(text)} is there already.`);
        return false;
      }
      if (!await this.allows(element, map, text, '')) return false;
      const row = this.pair(map, text, undefined);
      rows.append(row);
      row.querySelector('input').focus();
      return true;
    }));
  }

  // before: undefined when it is new.
  pair(map, name, before) {
    const row = make('div', 'pair');
    const element = input(before ?? '', () => change(element.value === before ? undefined : element.value));
    element.setAttribute('aria-label', plain(name));
    const drop = remover(name);
    const reset = () => {
      if (before === undefined) {
        this.undos.delete(`${map}:${name}`);
        row.remove();
        return;
      }
      element.value = before;
      element.disabled = false;
      row.classList.remove('gone');
    };
    const change = (value) => this.change(element, map, name, value, reset);
    drop.addEventListener('click', () => {
      if (before === undefined || row.classList.contains('gone')) {
        this.record(map, name, undefined, reset);
        reset();
        return;
      }
      element.disabled = true;
      row.classList.add('gone');
      this.problem(element, '');
      this.record(map, name, null, reset);
    });
    row.append(make('bdi', 'pair-name', name), element, drop);
    if (before !== undefined && plain(before) !== before) row.append(make('bdi', 'hidden-note dim', before));
    if (before === undefined) this.record(map, name, '', reset);
    return row;
  }

  // Names without values.
  set(title, map, names, placeholder, what) {
    const rows = make('div', 'pairs');
    const known = new Set(names);
    for (const name of names) rows.append(this.member(map, name, true));
    return group(title, rows, this.adder(`${what} (${title})`, placeholder, async (text, element) => {
      if (known.has(text) || known.has(`${text}/tcp`) || this.undos.get(`${map}:${text}`)?.changed) {
        this.problem(element, `${plain(text)} is there already.`);
        return false;
      }
      if (!await this.allows(element, map, text, true)) return false;
      rows.append(this.member(map, text, false));
      return true;
    }));
  }

  member(map, name, was) {
    const row = make('div', 'pair member');
    const drop = remover(name);
    const reset = () => {
      if (was) {
        row.classList.remove('gone');
        return;
      }
      this.undos.delete(`${map}:${name}`);
      row.remove();
    };
    drop.addEventListener('click', () => {
      if (!was || row.classList.contains('gone')) {
        this.record(map, name, undefined, reset);
        reset();
        return;
      }
      row.classList.add('gone');
      this.record(map, name, null, reset);
    });
    row.append(make('bdi', 'pair-name', name), drop);
    if (!was) this.record(map, name, true, reset);
    return row;
  }

  // What can be taken out, and what is only told.
  others(document_, config) {
    const rows = make('div', 'pairs');
    for (const key of OTHERS) {
      const value = config[key];
      if (value !== undefined && value !== null) rows.append(this.other(key, value));
    }
    const about = make('dl', 'facts');
    for (const [title, value] of [['Created', document_.created], ['Author', document_.author]]) {
      if (typeof value !== 'string' || value === '') continue;
      const one = make('div');
      one.append(make('dt', '', title), make('dd', '', value));
      about.append(one);
    }
    return rows.children.length + about.children.length > 0 ? group('Other', rows, about) : '';
  }

  other(key, value) {
    const row = make('div', 'pair');
    const drop = remover(key);
    drop.addEventListener('click', () => {
      const gone = row.classList.toggle('gone');
      this.record('config', key, gone ? null : undefined, () => row.classList.remove('gone'));
    });
    row.append(make('span', 'pair-name', key), make('bdi', 'code', JSON.stringify(value)), drop);
    return row;
  }
}

