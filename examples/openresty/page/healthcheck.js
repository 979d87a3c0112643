// The healthcheck of an image as fields. Those that are not touched stay as they are.

import { make, plain } from './text.js';

const UNITS = { h: 3600e9, m: 60e9, s: 1e9, ms: 1e6, us: 1e3, µs: 1e3, ns: 1 };
const KINDS = [['', 'none of its own'], ['CMD-SHELL', 'a line for the shell'], ['CMD', 'a program and its arguments'], ['NONE', 'switched off']];
const DURATIONS = [['Interval', 'Interval', '30s'], ['Timeout', 'Timeout', '30s'], ['StartPeriod', 'Start period', '0s'],
  ['StartInterval', 'Start interval', '5s']];

// Nanoseconds as people write them: "1m30s".
export function format(nanoseconds) {
  if (typeof nanoseconds !== 'number' || nanoseconds <= 0) return nanoseconds === 0 ? '0s' : '';
  const parts = [];
  let left = nanoseconds;
  for (const unit of ['h', 'm', 's', 'ms', 'us', 'ns']) {
    const n = Math.floor(left / UNITS[unit]);
    if (n > 0) parts.push(`${n}${unit}`);
    left -= n * UNITS[unit];
  }
  return parts.join('');
}

// The other way round; NaN for what is no duration.
export function parse(text) {
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(text)) return /^0+$/.test(text) ? 0 : NaN;
  let sum = 0;
  for (const [, number, , unit] of text.matchAll(/(\d+(\.\d+)?)(h|ms|m|s|us|µs|ns)/g)) sum += Number(number) * UNITS[unit];
  return Math.round(sum);
}

const pointer = (key) => `/config/Healthcheck/${key}`;

export class Healthcheck {
  // settings: records changes; value: what the config has.
  constructor(settings, value) {
    this.settings = settings;
    this.value = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
    this.element = document.createElement('fieldset');
    this.fields = [...this.test(), ...DURATIONS.map((one) => this.duration(...one)), this.retries()];
    this.element.append(make('legend', '', 'Healthcheck'), ...this.fields);
    if (value !== undefined && value !== null) this.element.append(this.remover());
  }

  field(title, element) {
    const label = make('label', 'field');
    label.append(make('span', 'field-name', title), element);
    return label;
  }

  input(before, placeholder, onChange) {
    const element = document.createElement('input');
    Object.assign(element, { spellcheck: false, value: before, placeholder });
    element.addEventListener('change', () => onChange(element));
    return element;
  }

  test() {
    const before = Array.isArray(this.value.Test) ? this.value.Test : [];
    const kindBefore = KINDS.some(([kind]) => kind === before[0]) ? before[0] : '';
    const lineOf = (kind, test) => (kind === 'CMD-SHELL' ? test[1] ?? '' : kind === 'CMD' ? JSON.stringify(test.slice(1)) : '');
    const select = document.createElement('select');
    for (const [kind, words] of KINDS) {
      const option = make('option', '', words);
      option.value = kind;
      select.append(option);
    }
    const line = this.input('', '', () => change());
    line.classList.add('code');
    const field = this.field('Command', line);
    const showKind = () => {
      field.hidden = select.value === '' || select.value === 'NONE';
      line.placeholder = select.value === 'CMD' ? '["/bin/check", "--quick"]' : 'curl -f http://localhost/ || exit 1';
    };
    const reset = () => {
      select.value = kindBefore;
      line.value = lineOf(kindBefore, before);
      showKind();
    };
    const wanted = () => {
      if (select.value === '') return before.length > 0 ? null : undefined;
      if (select.value === 'NONE') return ['NONE'];
      if (select.value === 'CMD-SHELL') return ['CMD-SHELL', line.value];
      const list = JSON.parse(line.value);
      if (!Array.isArray(list)) throw new SyntaxError();
      return ['CMD', ...list];
    };
    const change = () => {
      if (!field.hidden && line.value.trim() === '') return; // to be filled in
      let value;
      try {
        value = wanted();
      } catch {
        this.settings.problem(line, 'This should be an array of strings, as ["/bin/check", "--quick"].');
        return;
      }
      const same = JSON.stringify(value) === JSON.stringify(before);
      this.settings.change(line, 'config', pointer('Test'), same ? undefined : value, reset);
    };
    select.addEventListener('change', () => {
      this.settings.problem(line, '');
      line.value = select.value === kindBefore ? lineOf(kindBefore, before) : '';
      showKind();
      change();
    });
    reset();
    return [this.field('Check', select), field];
  }

  duration(key, title, otherwise) {
    const before = format(this.value[key]);
    const element = this.input(before, otherwise, () => {
      const text = element.value.trim();
      const value = text === before ? undefined : text === '' ? null : parse(text);
      if (Number.isNaN(value)) {
        this.settings.problem(element, `${plain(text)} is no duration: say 30s, 1m30s or 500ms.`);
        return;
      }
      this.settings.change(element, 'config', pointer(key), value, () => { element.value = before; });
    });
    return this.field(title, element);
  }

  retries() {
    const before = this.value.Retries === undefined ? '' : String(this.value.Retries);
    const element = this.input(before, '3', () => {
      const text = element.value.trim();
      const value = text === before ? undefined : text === '' ? null : /^\d+$/.test(text) ? Number(text) : text;
      this.settings.change(element, 'config', pointer('Retries'), value, () => { element.value = before; });
    });
    element.inputMode = 'numeric';
    return this.field('Retries', element);
  }

  remover() {
    const { settings } = this;
    const drop = make('button', '', 'Remove the healthcheck');
    drop.type = 'button';
    const set = (gone) => {
      this.element.classList.toggle('gone', gone);
      drop.textContent = gone ? 'Keep the healthcheck' : 'Remove the healthcheck';
      for (const element of this.element.querySelectorAll('input, select')) element.disabled = gone;
    };
    drop.addEventListener('click', () => {
      const gone = !this.element.classList.contains('gone');
      if (gone) {
        for (const name of [...settings.plan.maps.config.keys()]) {
          if (name.startsWith(pointer(''))) settings.plan.set('config', name, undefined);
        }
      }
      set(gone);
      settings.record('config', 'Healthcheck', gone ? null : undefined, () => set(false));
    });
    return drop;
  }
}
