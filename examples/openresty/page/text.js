// Text of any origin, shown as it is: what has no shape of its own, or turns the
// direction of other characters, becomes visible.

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;
const HIDDEN_IN_LINES = new RegExp(HIDDEN.source.replace('\\u0000-\\u001f', '\\u0000-\\u0008\\u000b-\\u001f'), 'gu');

const code = (char) => 'U+' + char.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');

// Text for an attribute, or wherever there is no place for elements.
export function plain(value) {
  return String(value).replace(HIDDEN, (char) => `⟨${code(char)}⟩`);
}

// Puts text into an element. lines: line feeds and tabs are kept.
export function show(element, value, lines = false) {
  const text = String(value);
  const found = lines ? HIDDEN_IN_LINES : HIDDEN;
  element.textContent = '';
  let at = 0;
  for (const match of text.matchAll(found)) {
    element.append(text.slice(at, match.index));
    const mark = document.createElement('span');
    mark.className = 'hidden-char';
    mark.textContent = code(match[0]);
    element.append(mark);
    at = match.index + match[0].length;
  }
  element.append(text.slice(at));
  return element;
}

// An element with a class and text.
export function make(tag, className, value, lines) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (value !== undefined) show(element, value, lines);
  return element;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function size(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

export const count = (n, one, many) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

export const mode = (bits) => (bits ?? 0).toString(8).padStart(4, '0');

export const short = (digest) => (digest ? digest.replace(/^sha256:/, '').slice(0, 12) : '');

export const time = (seconds) => (seconds
  ? new Date(seconds * 1000).toISOString().replace('T', ' ').slice(0, 16) : '');
