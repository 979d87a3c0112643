// The field that finds paths.

import { count, make } from './text.js';

const MOST = 200; // rows of an answer
const WAIT = 150; // milliseconds without a letter, before it is looked for
const PATIENCE = 5000; // milliseconds for an expression

const EXAMPLES = { text: 'Find in all paths', glob: 'Find *.pyc, /etc/**/*.conf', regex: 'Find \\.(log|tmp)$' };

export class Search {
  constructor({ form, field, mode, problem }, { found, say }) {
    Object.assign(this, { field, mode, problem, found, say, number: 0 });
    field.addEventListener('input', () => this.later());
    field.addEventListener('keydown', (event) => this.key(event));
    mode.addEventListener('change', () => {
      this.hint();
      this.run();
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.run();
    });
    this.hint();
    addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || !field.checkVisibility()) return;
      if (event.target.closest?.('input, textarea, select, dialog')) return;
      event.preventDefault();
      field.select();
      field.focus();
    });
  }

  hint() {
    this.field.placeholder = EXAMPLES[this.mode.value];
  }

  // Another image.
  load(id) {
    this.id = id;
    this.field.value = '';
    this.problem.textContent = '';
    this.stop();
  }

  stop() {
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    this.worker?.terminate();
    this.worker = null;
    this.busy = false;
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), WAIT);
  }

  key(event) {
    if (event.key === 'Escape' && (this.field.value || this.found.isOpen)) {
      event.preventDefault();
      this.field.value = '';
      this.run();
      this.found.close();
    } else if (event.key === 'ArrowDown' && this.found.isOpen) {
      event.preventDefault();
      this.found.open(true);
    }
  }

  run() {
    clearTimeout(this.timer);
    const text = this.field.value;
    this.tell('');
    this.number += 1;
    if (!text) {
      if (this.busy) this.stop();
      if (this.found.title.textContent === this.title) this.found.close(); // unless it has another list now
      return;
    }
    if (this.busy) this.stop(); // a new one has to read the paths again, which takes less than waiting
    if (!this.worker) {
      this.worker = new Worker('search-worker.js', { type: 'module' });
      this.worker.onmessage = ({ data }) => this.take(data);
      this.worker.onerror = () => this.fail('the search cannot be started');
    }
    this.busy = true;
    this.arm();
    this.worker.postMessage({ id: this.id, number: this.number, text, mode: this.mode.value, most: MOST });
  }

  arm() {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.fail('this takes too long: another expression may be quicker'), PATIENCE);
  }

  fail(message) {
    this.stop();
    this.tell(message);
  }

  tell(message) {
    this.problem.textContent = message;
    if (message) this.field.setAttribute('aria-invalid', 'true');
    else this.field.removeAttribute('aria-invalid');
  }

  take(data) {
    if (data.reading !== undefined) {
      this.arm();
      this.say(`Reading the paths: ${data.reading.toLocaleString('en')} of ${data.total.toLocaleString('en')}`);
      return;
    }
    if (data.number !== this.number) return;
    clearTimeout(this.patience);
    this.busy = false;
    if (data.failed || data.invalid) {
      this.tell(data.failed || `Not valid: ${data.invalid}`);
      return;
    }
    const words = `${count(data.total, 'path', 'paths')} found`;
    const rows = data.rows.map((one) => ({
      ...one, size: one.type === 'file' ? one.size : undefined,
      notes: one.gone ? [make('span', 'note takes', 'not seen')] : [],
    }));
    this.title = words;
    this.found.show(words, data.total === 0 ? [make('span', '', 'Nothing in this image has such a path.')] : [], rows,
      data.total - data.rows.length);
    this.say(words);
  }
}
