// Questions to the server, and what can go wrong with them.

/** The server answered with an error; its text is for the user. */
export class Refused extends Error {}

/** The server did not answer. */
export class Lost extends Error {
  constructor() {
    super('No answer from the server. Is lkdense serve still running? The page tries again until it is.');
  }
}

/** Return the JSON that the server answers. Throws Refused or Lost. */
export async function ask(path, options = {}) {
  const response = await answer(path, options);
  return response.json();
}

/** Return the bytes that the server answers. Throws as ask does. */
export async function askBytes(path) {
  return (await answer(path, {})).blob();
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Lost();
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  throw new Refused(`${error[0].toUpperCase()}${error.slice(1)}.`);
}

/** Return the numbers in a text of base64. */
export const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Runs one task at a time; of those asked for meanwhile only the last. */
export class Newest {
  running = false;
  next = null;

  async run(task) {
    this.next = task;
    if (this.running) return;
    this.running = true;
    try {
      while (this.next) {
        const current = this.next;
        this.next = null;
        await current();
      }
    } finally {
      this.running = false;
    }
  }

  /** Forget what waits. */
  clear() {
    this.next = null;
  }
}
