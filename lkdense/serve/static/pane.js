// One model's part of the page: the image with what is drawn over it, the scores and the legend.

import { drawHeat, drawInstances, drawLabels, heatGradient } from './drawing.js';
import { LatestTask, decodeBytes, fetchJson } from './server.js';

// A canvas has at least this side in pixels, so that boxes and labels on small images are sharp.
const SMALLEST_CANVAS = 1000;
// Labels are drawn for at most this number of boxes. More would hide the image.
const MOST_LABELS = 40;
// At most this number of the boxes at the point is listed.
const MOST_BOXES = 6;
// At most this number of classes is listed at the point; the server sends no more.
const MOST_CLASSES = 8;
// A request that takes less than this is not worth a message.
const MOMENT = 250; // milliseconds

export class Pane {
  /**
   * @param number the number of the model on the server
   * @param model the server's description of the model
   * @param page the page, which knows the state and is told of points, requests and errors
   */
  constructor(number, model, page) {
    Object.assign(this, { number, model, page, prediction: null, field: null, hidden: new Set() });
    this.root = document.querySelector('#pane').content.firstElementChild.cloneNode(true);
    const find = (selector) => this.root.querySelector(selector);
    this.parts = {
      title: find('h2'), view: find('.view'), image: find('img'), canvas: find('canvas'), busy: find('.busy'),
      scoresTitle: find('.scores h3'), scores: find('ol'), legendTitle: find('.legend h3'), legend: find('ul'),
    };
    this.root.setAttribute('aria-label', model.name);

    // The list of scores has room for its longest, so that the page does not jump while the pointer moves.
    const rows = model.task === 'detection' ? MOST_BOXES : Math.min(MOST_CLASSES, model.classes.length);
    this.root.style.setProperty('--rows', rows);

    this.requests = { scores: new LatestTask(), field: new LatestTask() };
    this.renderTitle();
    this.listen();
  }

  /** Show another image, { key, width, height }, and ask for the prediction. */
  async show(image) {
    this.image = image;
    this.prediction = this.field = null;
    this.hidden.clear();

    const { view, canvas } = this.parts;
    view.style.setProperty('--ratio', image.width / image.height);
    this.scale = Math.max(1, Math.ceil(SMALLEST_CANVAS / Math.max(image.width, image.height)));
    Object.assign(canvas, { width: image.width * this.scale, height: image.height * this.scale });
    Object.assign(this.parts.image, { src: `images/${image.key}`, alt: '' });
    this.renderTitle();
    this.update();

    await this.waitFor('predicting', async () => {
      const prediction = await fetchJson(`images/${image.key}/${this.number}/prediction`);
      if (image !== this.image) return;

      if (prediction.labels) prediction.labels = decodeBytes(prediction.labels);
      else prediction.instances = prediction.boxes.map((box, i) => ({
        box, score: prediction.scores[i], label: prediction.classes[i], mask: prediction.masks?.[i],
      }));
      this.prediction = prediction;
      this.renderTitle();
      this.update();
      this.updatePoint();
    });
  }

  /** Show the point, and ask for what depends on it: call this when the point or the view has changed. */
  updatePoint() {
    const { point, pinned, view } = this.page.state;
    const { classList, style } = this.parts.view;
    classList.toggle('pointed', Boolean(point));
    classList.toggle('pinned', pinned);
    if (!point || !this.image) return;

    style.setProperty('--x', `${100 * point.x}%`);
    style.setProperty('--y', `${100 * point.y}%`);

    if (this.model.task === 'detection') this.listBoxes();
    else if (this.prediction) this.requestScores(point);
    // The receptive field comes after the prediction, which the user is more impatient for.
    if (view === 'field' && this.prediction) this.requestField(point);
  }

  requestScores(point) {
    const image = this.image;
    this.requests.scores.run(() => this.waitFor('', async () => {
      const scores = await fetchJson(`images/${image.key}/${this.number}/scores?x=${point.x}&y=${point.y}`);
      if (image === this.image) this.listClasses(scores, point);
    }));
  }

  requestField(point) {
    const image = this.image;
    const stage = Math.min(this.page.state.stage, this.model.strides.length - 1);
    this.requests.field.run(() => this.waitFor('receptive field', async () => {
      const field = await fetchJson(`images/${image.key}/${this.number}/field?x=${point.x}&y=${point.y}&stage=${stage}`);
      if (image !== this.image) return;

      this.field = { ...field, values: decodeBytes(field.values) };
      this.draw();
    }));
  }

  /** Draw again, and list what is drawn. */
  update() {
    this.draw();
    this.describeView();
    this.renderLists();
  }

  draw() {
    const { view, opacity } = this.page.state;
    const { canvas } = this.parts;
    canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    if (view === 'field' && this.field) drawHeat(canvas, this.field, opacity);
    if (view !== 'prediction' || !this.prediction) return;

    const { classes, palette } = this.model;
    if (this.prediction.labels) {
      drawLabels(canvas, this.prediction, palette, this.hidden, opacity);
      return;
    }

    const visible = this.sureInstances().filter(({ label }) => !this.hidden.has(label));
    const text = ({ label, score }) => {
      if (visible.length > MOST_LABELS) return '';
      return classes.length > 1 ? `${classes[label]} ${score.toFixed(2)}` : score.toFixed(2);
    };
    drawInstances(canvas, this.scale, visible, palette, opacity, text);
  }

  /** Return the instances with a score of at least the threshold. */
  sureInstances() {
    return this.prediction.instances.filter(({ score }) => score >= this.page.state.threshold);
  }

  describeView() {
    const content = { prediction: 'prediction', field: 'receptive field', none: 'image' }[this.page.state.view];
    this.parts.view.setAttribute('aria-label', `${content} of ${this.model.name}; arrow keys move the point, Enter pins it`);
  }

  renderTitle() {
    const seconds = this.prediction && `${this.prediction.seconds.toFixed(2)} s`;
    const note = document.createElement('small');
    note.textContent = [this.model.task, seconds].filter(Boolean).join(', ');
    this.parts.title.replaceChildren(this.model.name, ' ', note);
  }

  renderLists() {
    const { legend, legendTitle, scores, scoresTitle } = this.parts;
    if (!this.prediction) {
      for (const part of [legend, scores]) part.replaceChildren();
      legendTitle.textContent = scoresTitle.textContent = '';
      return;
    }

    if (this.page.state.view === 'field') this.renderScale();
    else this.renderLegend();

    if (!this.page.state.point) scoresTitle.textContent = 'Point at the image for scores';
    else if (this.model.task === 'detection') this.listBoxes();
  }

  /** The scale of the receptive field, in place of the legend. */
  renderScale() {
    this.parts.legendTitle.textContent = 'Contribution to this place';
    const scale = Object.assign(document.createElement('li'), { className: 'scale' });
    scale.style.background = heatGradient;

    const marks = Object.assign(document.createElement('li'), { className: 'marks' });
    const { decades } = this.page;
    for (let decade = decades; decade > 0; decade--) marks.append(makeSpan('', `1/${10 ** decade}`));
    marks.append(makeSpan('', 'largest'));

    this.parts.legend.replaceChildren(scale, marks);
  }

  /** The classes in the prediction, the most frequent first. */
  renderLegend() {
    const { labels } = this.prediction;
    const counts = new Map();
    for (const label of labels ?? this.sureInstances().map((instance) => instance.label)) {
      counts.set(label, (counts.get(label) ?? 0) + 1);
    }
    const present = [...counts].filter(([label]) => label < this.model.classes.length).sort((a, b) => b[1] - a[1]);

    this.parts.legendTitle.textContent = labels ? `Classes in the image: ${present.length}` : `Objects: ${this.sureInstances().length}`;
    this.parts.legend.replaceChildren(...present.map(([label, count]) => {
      return this.makeLegendLine(label, labels ? toPercent(count / labels.length) : count);
    }));
  }

  makeLegendLine(label, number) {
    const line = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-pressed', !this.hidden.has(label));
    button.title = 'show or hide';
    button.append(makeSwatch(this.model.palette[label]), makeSpan('name', this.model.classes[label]), makeSpan('number', number));

    button.addEventListener('click', () => {
      if (!this.hidden.delete(label)) this.hidden.add(label);
      button.setAttribute('aria-pressed', !this.hidden.has(label));
      this.draw();
    });

    line.append(button);
    return line;
  }

  listClasses({ classes, scores }, point) {
    this.parts.scoresTitle.textContent = `Probabilities at ${this.pixelAt(point)}`;
    this.parts.scores.replaceChildren(...classes.map((label, i) => this.makeScoreLine(label, scores[i], toPercent(scores[i]))));
  }

  listBoxes() {
    const { point, threshold } = this.page.state;
    if (!point || !this.prediction) return;

    const x = point.x * this.image.width;
    const y = point.y * this.image.height;
    const instances = this.prediction.instances.filter(({ box }) => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
    this.parts.scoresTitle.textContent = `Boxes at ${this.pixelAt(point)}: ${instances.length || 'none'}`;
    this.parts.scores.replaceChildren(...instances.slice(0, MOST_BOXES).map(({ label, score }) => {
      const line = this.makeScoreLine(label, score, score.toFixed(2));
      line.classList.toggle('below', score < threshold);
      return line;
    }));
  }

  makeScoreLine(label, score, number) {
    const line = document.createElement('li');
    line.style.setProperty('--score', score);
    line.append(makeSwatch(this.model.palette[label]), makeSpan('name', this.model.classes[label]), makeSpan('number', number));
    return line;
  }

  pixelAt({ x, y }) {
    return `${Math.floor(x * this.image.width)}, ${Math.floor(y * this.image.height)}`;
  }

  /** Wait for a request; after a moment, show its name and the seconds it has taken. Without a name it stays silent. */
  async waitFor(name, task) {
    const start = performance.now();
    const { busy } = this.parts;
    const tick = () => {
      busy.hidden = false;
      busy.textContent = `${name} ${((performance.now() - start) / 1000).toFixed(0)} s`;
    };

    let timer;
    const patience = name && setTimeout(() => { tick(); timer = setInterval(tick, 1000); }, MOMENT);
    if (name) this.page.countRequests(1);
    try {
      await task();
      this.page.clearLostError();
    } catch (error) {
      for (const request of Object.values(this.requests)) request.clear();
      this.page.report(error);
    } finally {
      clearTimeout(patience);
      clearInterval(timer);
      if (name) {
        this.page.countRequests(-1);
        busy.hidden = true;
      }
    }
  }

  listen() {
    const { view } = this.parts;
    const placeOf = (event) => {
      const frame = view.getBoundingClientRect();
      return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    };

    view.addEventListener('pointermove', (event) => {
      if (!this.page.state.pinned) this.page.movePoint(...placeOf(event));
    });

    view.addEventListener('click', (event) => {
      this.page.state.pinned = event.pointerType !== 'touch' && !this.page.state.pinned;
      this.page.movePoint(...placeOf(event));
    });

    view.addEventListener('keydown', (event) => {
      const step = event.shiftKey ? 10 : 1;
      const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      const { point } = this.page.state;
      if (event.key === 'Enter') this.page.state.pinned = !this.page.state.pinned;
      else if (event.key === 'Escape') this.page.state.pinned = false;
      else if (!move) return;

      event.preventDefault();
      const { x, y } = point ?? { x: 0.5, y: 0.5 };
      const [dx, dy] = move && point ? move : [0, 0];
      this.page.movePoint(x + dx / this.image.width, y + dy / this.image.height);
    });
  }
}

const toPercent = (share) => `${(100 * share).toFixed(1)} %`;

function makeSwatch(colour) {
  const swatch = makeSpan('swatch', '');
  swatch.style.background = `rgb(${colour})`;
  return swatch;
}

function makeSpan(kind, text) {
  const span = document.createElement('span');
  span.className = kind;
  span.textContent = text;
  return span;
}
