// What is wasted, path by path, and how it is taken out.

import { get, list } from './api.js';
import { badge } from './rows.js';
import { count, make, plain, size } from './text.js';

const MOST = 500;

const WHY = {
  changed: 'replaced in', metadata: 'mode, owner or time set in', repeated: 'there again in',
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
    const all = this.button({
      take: 'Take all out', keep: 'Keep all', what: count(answer.total, 'file', 'files'),
      isOn: () => this.plan.wastesAll, toggle: () => this.plan.wasteAll(answer.total, answer.bytes),
    });
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
    const action = this.button({
      take: 'Take it out', keep: 'Keep it', what: `${plain(one.display)} of layer ${one.layer}`, isOne: true,
      isOn: () => this.plan.wastesAll || this.plan.wastes(one), toggle: () => this.plan.toggleWaste(one),
    });
    return { ...one, size: one.bytes, notes: [why], gone: true, action };
  }

  button(how) {
    const one = make('button', 'small');
    one.type = 'button';
    one.addEventListener('click', how.toggle);
    this.buttons.push({ one, ...how });
    return one;
  }

  update() {
    for (const { one, take, keep, what, isOn, isOne } of this.buttons || []) {
      const on = Boolean(isOn());
      one.textContent = on ? keep : take;
      one.setAttribute('aria-label', `${on ? keep : take}: ${what}`);
      one.classList.toggle('asks', on);
      one.disabled = Boolean(isOne && this.plan.wastesAll);
    }
  }
}
