// Requests to the server that this page came from. A task is what the user sees of a request that takes long: see
// progress.js.

function problem(value, status) {
  const error = new Error(value.error || `the server answered ${status}`);
  error.hint = value.hint;
  return error;
}

async function answer(response) {
  const value = await response.json().catch((error) => {
    if (error.name === 'AbortError') throw error;
    return {};
  });
  if (!response.ok) throw problem(value, response.status);
  return value;
}

async function send(path, how, task) {
  const { signal, headers } = task ?? {};
  const response = await fetch(path, { ...how, signal, headers: { ...headers, ...how.headers } }).catch((error) => {
    if (error.name === 'AbortError') throw error;
    throw new Error('the server does not answer: is it still running?');
  });
  return answer(response);
}

export const get = (path, task) => send(path, {}, task);

export const remove = (path, task) => send(path, { method: 'DELETE' }, task);

export const post = (path, value, task) => send(path, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value),
}, task);

// fetch() does not tell how much of a body has been sent.
export function upload(file, task) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/images?name=' + encodeURIComponent(file.name));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    for (const [name, value] of Object.entries(task.headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => task.sent(event.loaded, event.total);
    request.onload = () => {
      let value = {};
      try {
        value = JSON.parse(request.responseText);
      } catch { /* the status says enough */ }
      if (request.status < 300) resolve(value);
      else reject(problem(value, request.status));
    };
    request.onerror = () => reject(new Error('the connection broke'));
    request.onabort = () => reject(new DOMException('cancelled', 'AbortError'));
    task.signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

// An array, or what a server that knows no empty arrays says instead.
export const list = (value) => (Array.isArray(value) ? value : []);
