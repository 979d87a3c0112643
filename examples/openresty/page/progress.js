// What goes on: its title, how far it is, and a button that ends it.

import { get } from './api.js';
import { plain, show, size } from './text.js';

const POLL = 400; // milliseconds
const PATIENCE = 250; // what ends sooner shows no bar

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

// A request, and the job that the server runs for it.
class Task {
  constructor(bar, title) {
    Object.assign(this, { bar, title, told: 0 });
    this.name = randomName();
    this.controller = new AbortController();
    this.signal = this.controller.signal;
    this.headers = { 'X-Strata-Task': this.name };
  }

  // The bytes of a body that have been sent.
  sent(done, total) {
    if (done < total) this.progress('', done, total);
    else {
      this.title = this.title.replace(/^Uploading/, 'Reading');
      this.told = 0;
      this.bar.show(this);
      this.bar.say(this.title);
    }
  }

  progress(what, done, total) {
    const detail = `${what ? `${what}, ` : ''}${size(done)} of ${size(total)}`;
    this.bar.show(this, detail, done / total);
    const quarter = Math.floor((4 * done) / total);
    if (quarter > this.told) this.bar.say(`${this.title}: ${25 * quarter} %`);
    this.told = quarter;
  }

  // Asks the server now and then how far the job is, until the request has been answered.
  async follow() {
    while (!this.over) {
      await new Promise((resolve) => { setTimeout(resolve, POLL); });
      if (this.over) return;
      const at = await get(`/tasks/${this.name}`).catch(() => ({}));
      if (!this.over && at.total > 0) this.progress(at.what, at.done, at.total);
    }
  }
}

export class Progress {
  // box, meter, doing and cancel are elements; say(text) and fail(error) tell the user.
  constructor({ box, meter, doing, cancel }, { say, fail }) {
    Object.assign(this, { box, meter, doing, cancel, say, fail, tasks: [] });
    cancel.addEventListener('click', () => this.tasks.at(-1)?.controller.abort());
  }

  show(task, detail = '', done = undefined) {
    if (task !== this.tasks.at(-1)) return;
    const text = detail ? `${task.title}: ${detail}` : `${task.title} …`;
    if (this.doing.textContent !== text) show(this.doing, text);
    if (done === undefined) this.meter.removeAttribute('value');
    else this.meter.value = done;
  }

  end(task, focus) {
    task.over = true;
    this.tasks = this.tasks.filter((one) => one !== task);
    const next = this.tasks.at(-1);
    if (next) {
      this.show(next);
      return;
    }
    const had = document.activeElement === this.cancel;
    this.box.hidden = true;
    if (had) (focus?.isConnected && !focus.disabled ? focus : document.getElementById('content')).focus();
  }

  // Does work(task), which hands the task to its requests; null when it failed or was cancelled, as the user is told.
  async during(title, work, { lasts = true } = {}) {
    const focus = document.activeElement;
    const task = new Task(this, plain(title));
    document.getElementById('alert').textContent = '';
    this.tasks.push(task);
    this.cancel.hidden = !lasts;
    this.show(task);
    setTimeout(() => { if (!task.over) this.box.hidden = false; }, PATIENCE);
    this.say(task.title);
    task.follow();
    try {
      return await work(task);
    } catch (error) {
      if (error.name === 'AbortError') this.say('Cancelled');
      else {
        this.say('');
        this.fail(error);
      }
      return null;
    } finally {
      this.end(task, focus);
    }
  }
}
