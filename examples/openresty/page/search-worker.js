// Search over all paths of an image, beside the page: it stays usable whatever an expression
// costs. Paths come from the server in parts, once for each image.

let loaded = null; // { id, displays, paths, types, sizes, layers, seen }

const decoder = new TextDecoder('utf-8', { fatal: true });

// A path for people: what is no UTF-8 as \xHH, as the server says it elsewhere.
function display(path) {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path.replace(/(?:%[0-9A-F]{2})+/g, (run) => bytes(run.slice(1).split('%').map((hex) => parseInt(hex, 16))));
  }
}

// As much as can be of some bytes as text.
function bytes(list) {
  let text = '';
  for (let at = 0; at < list.length;) {
    const first = list[at];
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    let part = null;
    if (length > 0 && at + length <= list.length) {
      try {
        part = decoder.decode(new Uint8Array(list.slice(at, at + length)));
      } catch { /* none */ }
    }
    text += part ?? `\\x${first.toString(16).padStart(2, '0')}`;
    at += part === null ? 1 : length;
  }
  return text;
}

async function load(id) {
  const all = { id, displays: [], paths: [], types: [], sizes: [], layers: [], seen: [] };
  for (let from = ''; from !== null;) {
    const response = await fetch(`/images/${id}/paths${from && `?from=${from}`}`);
    const text = await response.text();
    if (!response.ok) throw new Error(JSON.parse(text).error);
    const lines = text.split('\n');
    const [total, next] = lines[0].split(' ');
    for (let i = 1; i < lines.length - 1; i += 1) {
      const [path, type, size, layer, seen] = lines[i].split('\t');
      const shown = display(path);
      all.paths.push(shown === path ? null : path);
      all.displays.push('/' + shown);
      all.types.push(type);
      all.sizes.push(Number(size));
      all.layers.push(Number(layer));
      all.seen.push(seen === '+');
    }
    postMessage({ reading: all.displays.length, total: Number(total) });
    from = next || null;
  }
  loaded = all;
}

// ---- expressions ----------------------------------------------------------------------

const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');

// One name of a glob.
function nameOf(text) {
  let source = '';
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (char === '[') {
      const negated = '!^'.includes(text[at + 1] || ' ');
      const first = at + (negated ? 2 : 1);
      const end = text.indexOf(']', first + 1);
      if (end < 0) throw new Error("'[' has no ']' behind it");
      source += `[${negated ? '^/' : ''}${text.slice(first, end).replace(/[\\\]^[]/g, '\\$&')}]`;
      at = end;
    } else source += quoted(char);
  }
  return source;
}

// A glob without "/" is one of names, wherever they are.
function glob(text) {
  const names = text.replace(/^\/+/, '').replace(/\/+$/, '').split(/\/+/);
  if (!text.includes('/')) return `/${nameOf(text)}$`;
  return `^${names.map((one) => (one === '**' ? '(?:/[^/]+)*' : '/' + nameOf(one))).join('')}$`;
}

// Small letters stand for capitals as well, until a capital is typed.
const flags = (text) => (/\p{Lu}/u.test(text.replace(/\\./g, '')) ? '' : 'i');

function compile(text, mode) {
  if (mode === 'text') {
    if (flags(text) === '') return (path) => path.includes(text);
    const small = text.toLowerCase();
    return (path) => path.toLowerCase().includes(small);
  }
  const expression = new RegExp(mode === 'glob' ? glob(text) : text, flags(text) + 's');
  return (path) => expression.test(path);
}

function search({ text, mode, most }) {
  let matches;
  try {
    matches = compile(text, mode);
  } catch (error) {
    return { invalid: error.message.replace(/^Invalid regular expression: /, '') };
  }
  const rows = [];
  let total = 0;
  loaded.displays.forEach((path, at) => {
    if (!matches(path)) return;
    total += 1;
    if (rows.length >= most) return;
    rows.push({
      path: loaded.paths[at] ?? path.slice(1), display: path.slice(1), type: loaded.types[at], size: loaded.sizes[at],
      layer: loaded.layers[at], gone: !loaded.seen[at],
    });
  });
  return { rows, total };
}

onmessage = async ({ data }) => {
  try {
    if (loaded?.id !== data.id) await load(data.id);
    postMessage({ number: data.number, ...search(data) });
  } catch (error) {
    postMessage({ number: data.number, failed: error.message });
  }
};
