// What is wasted, path by path, and how it is taken out.

import { get, list } from './api.js';
import { badge } from './rows.js';
import { count, make, plain, size } from './text.js';

const MOST = 500;

const WHY = {
  changed: 'replaced in', metadata: 'only mode, owner or time changed in', repeated: 'the same once more in',
  deleted: 'removed in', hidden: 'hidden by',
};

const EXPLAINED = 'These bytes are in the layers, and no container sees them: upper layers replaced or removed the files. '
  + 'Taking one out writes its layer anew without it. What a container sees stays as it is; the layer gets another digest, '
  + 'and is no longer the one that other images share.';

export class Waste {
  constructor({ found, plan, during }) {
    Object.assign(this, { found, plan, during });
    plan.addEventListener('change', () => this.update());
  }

  async open(image) {
    const answer = await this.during('Looking for what is wasted', (task) => get(`/images/${image.id}/waste?limit=${MOST}`, task));
    if (!answer) return;
    this.buttons = [];
    const rows = list(answer.paths);
    const all = this.button('Take all out', `Take out all ${count(answer.total, 'file', 'files')} that no container sees`,
      () => this.plan.wastesAll, () => this.plan.wasteAll(answer.total, answer.bytes));
    const about = [make('span', '', rows.length > 0 ? EXPLAINED : 'Every file of every layer is seen by a container.')];
    if (rows.length > 0) about.push(all);
    this.found.show(`${size(answer.bytes)} wasted by ${count(answer.total, 'file', 'files')}`, about,
      rows.map((one) => this.row(one)), answer.total - rows.length);
    this.update();
    this.found.open(true);
  }

  row(one) {
    const why = make('span', 'found-why', one.why ? `${WHY[one.why]} ` : '');
    if (one.by) why.append(badge(one.by));
    const action = this.button('Take it out', `Take ${plain(one.display)} out of layer ${one.layer}`,
      () => this.plan.wastesAll || this.plan.wastes(one), () => this.plan.toggleWaste(one));
    return { ...one, size: one.bytes, notes: [why], gone: true, action };
  }

  button(title, label, isOn, toggle) {
    const one = make('button', 'small', title);
    one.type = 'button';
    one.addEventListener('click', toggle);
    this.buttons.push({ one, title, label, isOn, isAll: title.includes('all') });
    return one;
  }

  update() {
    for (const { one, title, label, isOn, isAll } of this.buttons || []) {
      const on = Boolean(isOn());
      one.textContent = on ? 'Keep' : title;
      one.setAttribute('aria-label', on ? label.replace(/^Take( out)?/, 'Keep').replace(/ out of /, ' in ') : label);
      one.classList.toggle('asks', on);
      one.disabled = on && !isAll && this.plan.wastesAll;
    }
  }
}
