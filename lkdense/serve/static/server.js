// Requests to the server, and the errors that they can end with.

/** The server answered with an error; its text is for the user. */
export class RefusedError extends Error {}

/** The server did not answer. */
export class LostError extends Error {
  constructor() {
    super('No answer from the server. Is lkdense serve still running? The page tries again until it is.');
  }
}

/** Return the JSON that the server answers. Throws RefusedError or LostError. */
export async function fetchJson(path, options = {}) {
  const response = await request(path, options);
  return response.json();
}

/** Return the bytes that the server answers. Throws the same errors as fetchJson. */
export async function fetchBlob(path) {
  const response = await request(path, {});
  return response.blob();
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new LostError();
  }
  if (response.ok) return response;

  const { error } = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  throw new RefusedError(`${error[0].toUpperCase()}${error.slice(1)}.`);
}

/** Return the numbers from 0 to 255 in a text of base64. */
export const decodeBytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Runs one task at a time. Of the tasks that come in the meantime, only the latest is run. */
export class LatestTask {
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

  /** Forget the task that waits. */
  clear() {
    this.next = null;
  }
}
