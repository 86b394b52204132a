// The page: images come in, controls change what every pane shows, and the panes share one point.

import { Pane } from './pane.js';
import { LostError, RefusedError, fetchBlob, fetchJson } from './server.js';

const find = (selector) => document.querySelector(selector);
const THEMES = { 'light dark': ['◐', 'as the system'], light: ['☀', 'light'], dark: ['☾', 'dark'] };
const RETRY = 2000; // milliseconds

const state = { view: 'prediction', opacity: 0.6, threshold: 0.3, stage: 0, point: null, pinned: false };
let panes = [];
let maxBytes = Infinity;
let requests = 0;
let retryTimer = null;
// Counts the images that were chosen: when several are on their way, only the last one is shown.
let turn = 0;

const page = {
  state,
  /** How many powers of ten the scale of a receptive field spans. */
  decades: 0,

  /** Move the point to a place given in shares of the image. */
  movePoint(x, y) {
    const clamp = (share) => Math.min(Math.max(share, 0), 0.99999);
    state.point = { x: clamp(x), y: clamp(y) };
    for (const pane of panes) pane.updatePoint();
  },

  /** Count the requests that are under way. */
  countRequests(change) {
    requests += change;
    find('#status').textContent = requests ? 'Computing …' : '';
  },

  /** The server has answered: the message that it does not is out of date. */
  clearLostError() {
    clearTimeout(retryTimer);
    retryTimer = null;
    if (find('#problem').dataset.kind === 'lost') find('#problem').hidden = true;
  },

  /** Show an error to the user. */
  report(error) {
    if (!(error instanceof RefusedError || error instanceof LostError)) console.error(error);

    const problem = find('#problem');
    problem.dataset.kind = error instanceof LostError ? 'lost' : 'refused';
    problem.querySelector('p').textContent = error.message;
    problem.hidden = false;
    if (error instanceof LostError && !retryTimer) retryTimer = setTimeout(connect, RETRY);
  },
};

/** Ask for the models, again and again until the server answers. */
async function connect() {
  retryTimer = null;
  try {
    const description = await fetchJson('models');
    page.clearLostError();
    if (!panes.length) showModels(description);
  } catch (error) {
    page.report(error);
  }
}

/** Send an image to the server, and show it in every pane. */
async function openImage(file) {
  const mine = ++turn;
  find('#problem').hidden = true;
  if (file.size > maxBytes) {
    page.report(new RefusedError(`${file.name || 'The image'} is too large: ${(file.size / 2 ** 20).toFixed(0)} MB, at most ${maxBytes / 2 ** 20} MB are taken.`));
    return;
  }

  page.countRequests(1);
  try {
    const image = await fetchJson('images', { method: 'POST', body: file, headers: { 'Content-Type': 'application/octet-stream' } });
    page.clearLostError();
    if (mine !== turn) return;

    Object.assign(state, { point: null, pinned: false });
    find('#start').hidden = true;
    find('#controls').hidden = find('#panes').hidden = false;
    for (const pane of panes) pane.updatePoint();
    panes.forEach((pane) => pane.show(image));
  } catch (error) {
    if (mine === turn) page.report(error);
  } finally {
    page.countRequests(-1);
  }
}

/** Open the user's own file, if there is one, and mark no example as chosen. */
function chooseFile(file) {
  for (const button of find('#examples').children) button.setAttribute('aria-pressed', false);
  if (file) openImage(file);
}

async function openExample(number, button) {
  chooseFile(null);
  button.setAttribute('aria-pressed', true);

  const mine = ++turn;
  try {
    const image = await fetchBlob(`examples/${number}`);
    if (mine === turn) await openImage(image);
  } catch (error) {
    page.report(error);
  }
}

/** Build the parts of the page that depend on the models and the examples. */
function showModels({ models, examples, decades, max_bytes }) {
  maxBytes = max_bytes;
  page.decades = decades;
  panes = models.map((model, number) => new Pane(number, model, page));
  find('#panes').replaceChildren(...panes.map((pane) => pane.root));
  find('#panes').hidden = true;
  find('#threshold-row').hidden = !models.some(({ task }) => task === 'detection');

  const strides = models.reduce((longest, model) => (model.strides.length > longest.length ? model.strides : longest), []);
  state.stage = strides.length - 1;
  find('#stage').replaceChildren(...strides.map((stride, i) => new Option(`${i + 1}, stride ${stride}`, i, false, i === state.stage)));
  document.title = `${models.map(({ name }) => name).join(' | ')} - lkdense serve`;

  find('#examples').hidden = !examples.length;
  find('#examples').replaceChildren(...examples.map(makeExampleButton));
}

function makeExampleButton(name, number) {
  const button = document.createElement('button');
  const picture = Object.assign(new Image(), { src: `examples/${number}?thumbnail`, alt: name, loading: 'lazy' });
  Object.assign(button, { type: 'button', title: name });
  button.setAttribute('aria-pressed', false);
  button.append(picture);
  button.addEventListener('click', () => openExample(number, button));
  return button;
}

function listenToControls() {
  const opacity = find('#opacity');
  const threshold = find('#threshold');

  const readControls = () => {
    state.view = find('[name=view]:checked').value;
    state.opacity = opacity.value / 100;
    state.threshold = threshold.value / 100;
    state.stage = Number(find('#stage').value);

    opacity.nextElementSibling.value = `${opacity.value} %`;
    threshold.nextElementSibling.value = state.threshold.toFixed(2);
    find('#stage-row').hidden = state.view !== 'field';
    threshold.disabled = state.view !== 'prediction';
    for (const pane of panes) pane.update();
  };

  find('#controls').addEventListener('input', (event) => {
    readControls();
    if (event.target.type !== 'range') for (const pane of panes) pane.updatePoint();
  });
  find('#controls').addEventListener('submit', (event) => event.preventDefault());
  readControls();
}

/** Take images from the file dialog, from the clipboard, and from what is dropped anywhere on the page. */
function listenForImages() {
  const input = find('#file');
  find('#choose').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    chooseFile(input.files[0]);
    input.value = '';
  });

  addEventListener('paste', (event) => {
    if (event.clipboardData.files.length) chooseFile(event.clipboardData.files[0]);
  });

  // The browser reports entering and leaving for every element, so the curtain counts them.
  let depth = 0;
  const moveCurtain = (change) => {
    depth = change && Math.max(0, depth + change);
    find('#curtain').hidden = !depth;
  };
  addEventListener('dragenter', () => moveCurtain(1));
  addEventListener('dragleave', () => moveCurtain(-1));
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    moveCurtain(0);
    const [file] = event.dataTransfer.files;
    if (file) chooseFile(file);
    else page.report(new RefusedError('What was dropped is no file. Save the image first, then drop the file.'));
  });
}

function setUpTheme() {
  const button = find('#theme');
  const themes = Object.keys(THEMES);

  const setTheme = (theme) => {
    document.documentElement.style.colorScheme = theme;
    localStorage.setItem('theme', theme);
    button.textContent = THEMES[theme][0];
    button.setAttribute('aria-label', `Colours: ${THEMES[theme][1]}`);
    button.title = `Colours: ${THEMES[theme][1]}`;
  };

  const stored = localStorage.getItem('theme');
  setTheme(themes.includes(stored) ? stored : themes[0]);
  button.addEventListener('click', () => {
    const current = themes.indexOf(localStorage.getItem('theme'));
    setTheme(themes[(current + 1) % themes.length]);
  });
}

setUpTheme();
listenToControls();
listenForImages();
find('#problem button').addEventListener('click', () => { find('#problem').hidden = true; });
connect();
