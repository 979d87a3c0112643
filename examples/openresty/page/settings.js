// The config of an image as a form. What is changed goes to the plan.

import { list } from './api.js';
import { make, plain } from './text.js';

const TEXTS = [['User', 'User', 'root'], ['WorkingDir', 'Working directory', '/'], ['StopSignal', 'Stop signal', 'SIGTERM']];
const COMMANDS = [['Entrypoint', 'Entrypoint'], ['Cmd', 'Command']];
const OTHERS = ['ExposedPorts', 'Volumes', 'Healthcheck', 'Shell', 'OnBuild'];

function field(title, input) {
  const label = make('label', 'field');
  label.append(make('span', 'field-name', title), input);
  return label;
}

function input(value, onChange) {
  const element = document.createElement('input');
  element.spellcheck = false;
  element.value = value;
  element.addEventListener('change', () => onChange(element));
  return element;
}

function group(title, ...children) {
  const set = document.createElement('fieldset');
  set.append(make('legend', '', title), ...children);
  return set;
}

export class Settings {
  constructor(form, plan) {
    Object.assign(this, { form, plan, undos: new Map() });
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
      this.map('Labels', 'labels', Object.entries(config.Labels || {}).filter(([, value]) => typeof value === 'string')),
      this.others(document_, config),
    );
  }

  text(key, title, before, otherwise) {
    const element = input(before, () => {
      const value = element.value;
      this.record('config', key, value === before ? undefined : value === '' ? null : value, () => {
        element.value = before;
      });
    });
    element.placeholder = otherwise;
    return field(title, element);
  }

  command(key, title, value) {
    const before = Array.isArray(value) && value.length > 0 ? JSON.stringify(value) : '';
    const element = input(before, () => {
      let parsed;
      try {
        parsed = element.value.trim() === '' ? null : JSON.parse(element.value);
      } catch { /* told below */ }
      const ok = parsed === null || (Array.isArray(parsed) && parsed.every((one) => typeof one === 'string'));
      element.setCustomValidity(ok ? '' : 'An array of strings, as ["/bin/sh", "-c"]');
      element.reportValidity();
      if (!ok) return;
      this.record('config', key, element.value === before ? undefined : parsed, () => {
        element.value = before;
        element.setCustomValidity('');
      });
    });
    element.classList.add('code');
    element.placeholder = '["/bin/sh", "-c"]';
    return field(title, element);
  }

  map(title, map, pairs) {
    const rows = make('div', 'pairs');
    for (const [name, value] of pairs) rows.append(this.pair(map, name, value));
    const name = input('', () => {});
    name.placeholder = 'NAME';
    name.setAttribute('aria-label', `New name in ${title}`);
    const add = make('button', '', 'Add');
    add.type = 'button';
    const append = () => {
      const text = name.value.trim();
      if (text === '' || text.includes('=') || this.undos.has(`${map}:${text}`)) return;
      const row = this.pair(map, text, undefined);
      rows.append(row);
      name.value = '';
      row.querySelector('input').focus();
    };
    add.addEventListener('click', append);
    name.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      append();
    });
    const line = make('div', 'add');
    line.append(name, add);
    return group(title, rows, line);
  }

  // before: undefined when it is new.
  pair(map, name, before) {
    const row = make('div', 'pair');
    const element = input(before ?? '', () => change(element.value === before ? undefined : element.value));
    element.setAttribute('aria-label', plain(name));
    const drop = make('button', 'quiet', '✕');
    drop.type = 'button';
    drop.setAttribute('aria-label', `Remove ${plain(name)}`);
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
    const change = (value) => this.record(map, name, value, reset);
    drop.addEventListener('click', () => {
      if (before === undefined || row.classList.contains('gone')) {
        change(undefined);
        reset();
        return;
      }
      element.disabled = true;
      row.classList.add('gone');
      change(null);
    });
    row.append(make('bdi', 'pair-name', name), element, drop);
    if (before !== undefined && plain(before) !== before) row.append(make('bdi', 'hidden-note dim', before));
    if (before === undefined) change('');
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
    const names = Object.keys(value);
    const isSet = !Array.isArray(value) && typeof value === 'object' && names.every((name) => Object.keys(value[name] ?? {}).length === 0);
    const text = make('bdi', 'code', isSet ? names.join(', ') : JSON.stringify(value));
    const drop = make('button', 'quiet', '✕');
    drop.type = 'button';
    drop.setAttribute('aria-label', `Remove ${key}`);
    drop.addEventListener('click', () => {
      const gone = row.classList.toggle('gone');
      this.record('config', key, gone ? null : undefined, () => row.classList.remove('gone'));
    });
    row.append(make('span', 'pair-name', key), text, drop);
    return row;
  }
}
