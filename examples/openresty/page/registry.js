// Opening an image of a registry, where the server allows it.

import { list, post } from './api.js';

export class Registry {
  // form with its fields; opened(promise) goes to the image.
  constructor({ form, reference, platform, hosts }, { during, opened }) {
    Object.assign(this, { form, hosts });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = { reference: reference.value.trim() };
      if (wanted.reference === '') return;
      if (platform.value.trim() !== '') wanted.platform = platform.value.trim();
      opened(during(`Fetching ${wanted.reference}`, (task) => post('/registry', wanted, task)));
    });
  }

  // names: the hosts that the server allows.
  offer(names) {
    const hosts = list(names);
    this.form.hidden = hosts.length === 0;
    this.hosts.textContent = hosts.join(', ');
  }
}
