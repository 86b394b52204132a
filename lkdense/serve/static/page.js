// The page: images come in, controls change what every pane shows, and the panes share one pointer.

import { Pane } from './pane.js';
import { Lost, Refused, ask, askBytes } from './server.js';

const find = (selector) => document.querySelector(selector);
const THEMES = { 'light dark': ['◐', 'as the system'], light: ['☀', 'light'], dark: ['☾', 'dark'] };
const RETRY = 2000; // milliseconds

const state = { view: 'prediction', opacity: 0.6, threshold: 0.3, stage: 0, point: null, pinned: false };
let panes = [];
let maxBytes = Infinity;
let jobs = 0;
let retrying = null;
// counts the images that were chosen: of several at a time the last one wins
let turn = 0;

const page = {
  state,
  /** How many powers of ten the scale of a receptive field spans. */
  decades: 0,

  /** Point at a place given in shares of the image. */
  point(x, y) {
    const inside = (share) => Math.min(Math.max(share, 0), 0.99999);
    state.point = { x: inside(x), y: inside(y) };
    for (const pane of panes) pane.pointed();
  },

  working(change) {
    jobs += change;
    find('#status').textContent = jobs ? 'Computing …' : '';
  },

  /** The server has answered: what was said of a lost connection is over. */
  answered() {
    clearTimeout(retrying);
    retrying = null;
    if (find('#problem').dataset.kind === 'lost') find('#problem').hidden = true;
  },

  /** Say what went wrong. */
  report(error) {
    if (!(error instanceof Refused || error instanceof Lost)) console.error(error);
    const problem = find('#problem');
    problem.dataset.kind = error instanceof Lost ? 'lost' : 'refused';
    problem.querySelector('p').textContent = error.message;
    problem.hidden = false;
    if (error instanceof Lost && !retrying) retrying = setTimeout(retry, RETRY);
  },
};

/** Ask for the models until the server is there. */
async function retry() {
  retrying = null;
  try {
    const description = await ask('models');
    page.answered();
    if (!panes.length) begin(description);
  } catch (error) {
    page.report(error);
  }
}

/** Send an image and show it in every pane. */
async function open(file) {
  const mine = ++turn;
  find('#problem').hidden = true;
  if (file.size > maxBytes) {
    page.report(new Refused(`${file.name || 'The image'} is too large: ${(file.size / 2 ** 20).toFixed(0)} MB, at most ${maxBytes / 2 ** 20} MB are taken.`));
    return;
  }
  page.working(1);
  try {
    const image = await ask('images', { method: 'POST', body: file, headers: { 'Content-Type': 'application/octet-stream' } });
    page.answered();
    if (mine !== turn) return;
    Object.assign(state, { point: null, pinned: false });
    find('#start').hidden = true;
    find('#controls').hidden = find('#panes').hidden = false;
    for (const pane of panes) pane.pointed();
    panes.forEach((pane) => pane.show(image));
  } catch (error) {
    if (mine === turn) page.report(error);
  } finally {
    page.working(-1);
  }
}

function choose(file) {
  for (const button of find('#examples').children) button.setAttribute('aria-pressed', false);
  if (file) open(file);
}

async function openExample(number, button) {
  choose(null);
  button.setAttribute('aria-pressed', true);
  const mine = ++turn;
  try {
    const image = await askBytes(`examples/${number}`);
    if (mine === turn) await open(image);
  } catch (error) {
    page.report(error);
  }
}

/** Build what depends on the models. */
function begin({ models, examples, decades, max_bytes }) {
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
  find('#examples').replaceChildren(...examples.map((name, number) => {
    const button = document.createElement('button');
    const picture = Object.assign(new Image(), { src: `examples/${number}?thumbnail`, alt: name, loading: 'lazy' });
    Object.assign(button, { type: 'button', title: name });
    button.setAttribute('aria-pressed', false);
    button.append(picture);
    button.addEventListener('click', () => openExample(number, button));
    return button;
  }));
}

function controls() {
  const opacity = find('#opacity');
  const threshold = find('#threshold');
  const read = () => {
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
    read();
    if (event.target.type !== 'range') for (const pane of panes) pane.pointed();
  });
  find('#controls').addEventListener('submit', (event) => event.preventDefault());
  read();
}

function incoming() {
  const input = find('#file');
  find('#choose').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    choose(input.files[0]);
    input.value = '';
  });
  addEventListener('paste', (event) => {
    if (event.clipboardData.files.length) choose(event.clipboardData.files[0]);
  });
  let depth = 0;
  const curtain = (change) => {
    depth = change && Math.max(0, depth + change);
    find('#curtain').hidden = !depth;
  };
  addEventListener('dragenter', () => curtain(1));
  addEventListener('dragleave', () => curtain(-1));
  addEventListener('dragover', (event) => event.preventDefault());
  addEventListener('drop', (event) => {
    event.preventDefault();
    curtain(0);
    const [file] = event.dataTransfer.files;
    if (file) choose(file);
    else page.report(new Refused('What was dropped is no file. Save the image first, then drop the file.'));
  });
}

function theme() {
  const button = find('#theme');
  const kinds = Object.keys(THEMES);
  const set = (kind) => {
    document.documentElement.style.colorScheme = kind;
    localStorage.setItem('theme', kind);
    button.textContent = THEMES[kind][0];
    button.setAttribute('aria-label', `Colours: ${THEMES[kind][1]}`);
    button.title = `Colours: ${THEMES[kind][1]}`;
  };
  const stored = localStorage.getItem('theme');
  set(kinds.includes(stored) ? stored : kinds[0]);
  button.addEventListener('click', () => set(kinds[(kinds.indexOf(localStorage.getItem('theme')) + 1) % kinds.length]));
}

theme();
controls();
incoming();
find('#problem button').addEventListener('click', () => { find('#problem').hidden = true; });
retry();
