// Requests to the server that this page came from.

async function answer(response) {
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(value.error || `the server answered ${response.status}`);
  return value;
}

export const get = async (path) => answer(await fetch(path));

export const remove = async (path) => answer(await fetch(path, { method: 'DELETE' }));

export const post = async (path, value) => answer(await fetch(path, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value),
}));

// fetch() does not tell how much of a body has been sent.
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', '/images?name=' + encodeURIComponent(file.name));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onload = () => {
      let value = {};
      try {
        value = JSON.parse(request.responseText);
      } catch { /* the status says enough */ }
      if (request.status < 300) resolve(value);
      else reject(new Error(value.error || `the server answered ${request.status}`));
    };
    request.onerror = () => reject(new Error('the connection broke'));
    request.send(file);
  });
}

// An array, or what a server that knows no empty arrays says instead.
export const list = (value) => (Array.isArray(value) ? value : []);
