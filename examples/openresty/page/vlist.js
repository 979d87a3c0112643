// A list of which only the rows that can be seen exist. One of them has the
// focus, or would get it (a roving tabindex), and stays when it is scrolled away.

const ROW = 28;
const MARGIN = 8;
const HIGHEST = 12e6; // pixels; browsers have a limit on how tall an element can be

export class VirtualList {
  // draw(row, index) fills a row; key(event, index) and pick(index, event) tell what happened.
  constructor(box, { draw, key, pick }) {
    Object.assign(this, { box, draw, key, pick, count: 0, active: 0, rows: new Map() });
    this.inner = document.createElement('div');
    this.inner.className = 'inner';
    this.inner.setAttribute('role', 'presentation');
    box.replaceChildren(this.inner);
    box.addEventListener('scroll', () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.schedule()).observe(box);
    box.addEventListener('keydown', (event) => this.onKey(event));
    box.addEventListener('click', (event) => this.onClick(event));
  }

  // The rows have changed, and the active one is at another place. Without one the list begins anew.
  update(count, active) {
    const focused = this.box.contains(document.activeElement);
    this.count = count;
    if (active === undefined) this.box.scrollTop = 0;
    this.active = Math.max(0, Math.min(active ?? 0, count - 1));
    this.inner.style.height = `${Math.min(count * ROW, HIGHEST)}px`;
    this.stale = true;
    this.render();
    if (focused) this.rows.get(this.active)?.focus({ preventScroll: true });
  }

  // What rows show has changed, not how many there are.
  refresh() {
    this.stale = true;
    this.schedule();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => this.render());
  }

  // How many pixels of rows one pixel of scrolling is.
  factor() {
    const view = this.box.clientHeight;
    const tall = this.count * ROW;
    return tall <= HIGHEST ? 1 : (tall - view) / (HIGHEST - view);
  }

  render() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const top = this.box.scrollTop;
    const shift = top * this.factor();
    const first = Math.max(0, Math.floor(shift / ROW) - MARGIN);
    const last = Math.min(this.count - 1, Math.ceil((shift + this.box.clientHeight) / ROW) + MARGIN);
    const keep = (index) => index < this.count && ((index >= first && index <= last) || index === this.active);
    for (const [index, row] of this.rows) {
      if (!keep(index)) {
        row.remove();
        this.rows.delete(index);
      }
    }
    for (let index = first; index <= last; index += 1) this.place(index, top - shift);
    if (this.count > 0) this.place(this.active, top - shift);
    this.stale = false;
  }

  place(index, shift) {
    let row = this.rows.get(index);
    if (!row || this.stale) {
      const isNew = !row;
      row ??= document.createElement('div');
      row.dataset.index = index;
      row.className = 'row';
      row.setAttribute('role', 'treeitem');
      this.draw(row, index);
      if (isNew) {
        this.rows.set(index, row);
        this.inner.append(row);
      }
    }
    row.tabIndex = index === this.active ? 0 : -1;
    row.style.transform = `translateY(${index * ROW + shift}px)`;
  }

  // Moves the focus to a row.
  focus(index) {
    if (this.count === 0) return;
    this.active = Math.max(0, Math.min(index, this.count - 1));
    const factor = this.factor();
    const view = this.box.clientHeight;
    const shift = this.box.scrollTop * factor;
    const at = this.active * ROW;
    if (at < shift) this.box.scrollTop = at / factor;
    else if (at + ROW > shift + view) this.box.scrollTop = (at + ROW - view) / factor;
    this.render();
    const row = this.rows.get(this.active);
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    if (event.key in steps) this.focus(this.active + steps[event.key]);
    else if (!this.key(event, this.active)) return;
    event.preventDefault();
  }

  onClick(event) {
    const row = event.target.closest('.row');
    if (!row) return;
    const index = Number(row.dataset.index);
    this.focus(index);
    this.pick(index, event);
  }
}
