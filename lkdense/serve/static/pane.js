// One model's part of the page: the image with what is drawn over it, scores and legend.

import { drawHeat, drawInstances, drawLabels, heatGradient } from './drawing.js';
import { Newest, ask, bytes } from './server.js';

// side in pixels that a canvas has at least, so that boxes and names on small images are sharp
const FINE = 1000;
// so many boxes have their names written at them; more would hide the image
const NAMED = 40;
// so many of the boxes at the point are listed
const BOXES = 6;

export class Pane {
  /**
   * @param number of the model on the server
   * @param model as the server describes it
   * @param page what page.js offers: the state, and whom to tell of points, work and errors
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
    // as many as there will be at most, lest the page jumps while the pointer moves
    this.root.style.setProperty('--rows', model.task === 'detection' ? BOXES : Math.min(8, model.classes.length));
    this.questions = { scores: new Newest(), field: new Newest() };
    this.title();
    this.listen();
  }

  /** Take another image, { key, width, height }, and ask for the prediction. */
  async show(image) {
    this.image = image;
    this.prediction = this.field = null;
    this.hidden.clear();
    const { view, canvas } = this.parts;
    view.style.setProperty('--ratio', image.width / image.height);
    this.scale = Math.max(1, Math.ceil(FINE / Math.max(image.width, image.height)));
    Object.assign(canvas, { width: image.width * this.scale, height: image.height * this.scale });
    Object.assign(this.parts.image, { src: `images/${image.key}`, alt: '' });
    this.title();
    this.update();
    await this.question('predicting', async () => {
      const found = await ask(`images/${image.key}/${this.number}/prediction`);
      if (image !== this.image) return;
      if (found.labels) found.labels = bytes(found.labels);
      else found.instances = found.boxes.map((box, i) => ({
        box, score: found.scores[i], label: found.classes[i], mask: found.masks?.[i],
      }));
      this.prediction = found;
      this.title();
      this.update();
      this.pointed();
    });
  }

  /** The point or the view has changed: ask what depends on it. */
  pointed() {
    const { point, view, stage } = this.page.state;
    const style = this.parts.view.style;
    this.parts.view.classList.toggle('pointed', Boolean(point));
    this.parts.view.classList.toggle('pinned', this.page.state.pinned);
    if (!point || !this.image) return;
    style.setProperty('--x', `${100 * point.x}%`);
    style.setProperty('--y', `${100 * point.y}%`);
    const image = this.image;
    const place = `x=${point.x}&y=${point.y}`;
    if (this.model.task === 'detection') this.listBoxes();
    else if (this.prediction) {
      this.questions.scores.run(() => this.question('', async () => {
        const found = await ask(`images/${image.key}/${this.number}/scores?${place}`);
        if (image === this.image) this.listClasses(found, point);
      }));
    }
    // after the prediction, which is waited for with more impatience
    if (view === 'field' && this.prediction) {
      const number = Math.min(stage, this.model.strides.length - 1);
      this.questions.field.run(() => this.question('receptive field', async () => {
        const found = await ask(`images/${image.key}/${this.number}/field?${place}&stage=${number}`);
        if (image !== this.image) return;
        this.field = { ...found, values: bytes(found.values) };
        this.draw();
      }));
    }
  }

  /** Draw again, and list what is drawn. */
  update() {
    this.draw();
    this.describe();
    this.list();
  }

  draw() {
    const { view, opacity } = this.page.state;
    const { canvas } = this.parts;
    canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    if (view === 'field' && this.field) drawHeat(canvas, this.field, opacity);
    if (view !== 'prediction' || !this.prediction) return;
    if (this.prediction.labels) return drawLabels(canvas, this.prediction, this.model.palette, this.hidden, opacity);
    const shown = this.shown().filter(({ label }) => !this.hidden.has(label));
    const several = this.model.classes.length > 1;
    const text = ({ label, score }) => `${several ? `${this.model.classes[label]} ` : ''}${score.toFixed(2)}`;
    drawInstances(canvas, this.scale, shown, this.model.palette, opacity, shown.length > NAMED ? () => '' : text);
  }

  /** The instances from the threshold on. */
  shown() {
    return this.prediction.instances.filter(({ score }) => score >= this.page.state.threshold);
  }

  describe() {
    const what = { prediction: 'prediction', field: 'receptive field', none: 'image' }[this.page.state.view];
    this.parts.view.setAttribute('aria-label', `${what} of ${this.model.name}; arrow keys move the point, Enter pins it`);
  }

  title() {
    const seconds = this.prediction && `${this.prediction.seconds.toFixed(2)} s`;
    const note = document.createElement('small');
    note.textContent = [this.model.task, seconds].filter(Boolean).join(', ');
    this.parts.title.replaceChildren(this.model.name, ' ', note);
  }

  list() {
    const { legend, legendTitle, scores, scoresTitle } = this.parts;
    if (!this.prediction) {
      for (const part of [legend, scores]) part.replaceChildren();
      legendTitle.textContent = scoresTitle.textContent = '';
      return;
    }
    if (this.page.state.view === 'field') {
      legendTitle.textContent = 'Contribution to this place';
      const scale = Object.assign(document.createElement('li'), { className: 'scale' });
      scale.style.background = heatGradient;
      const marks = Object.assign(document.createElement('li'), { className: 'marks' });
      const { decades } = this.page;
      marks.append(...Array.from({ length: decades }, (_, i) => word('', `1/${10 ** (decades - i)}`)), word('', 'largest'));
      legend.replaceChildren(scale, marks);
    } else {
      const counts = new Map();
      const { labels } = this.prediction;
      for (const label of labels ?? this.shown().map((instance) => instance.label)) counts.set(label, (counts.get(label) ?? 0) + 1);
      const present = [...counts].filter(([label]) => label < this.model.classes.length).sort((a, b) => b[1] - a[1]);
      legendTitle.textContent = labels ? `Classes in the image: ${present.length}` : `Objects: ${this.shown().length}`;
      legend.replaceChildren(...present.map(([label, count]) => this.legendLine(label, labels ? percent(count / labels.length) : count)));
    }
    if (!this.page.state.point) scoresTitle.textContent = 'Point at the image for scores';
    else if (this.model.task === 'detection') this.listBoxes();
  }

  legendLine(label, number) {
    const line = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.setAttribute('aria-pressed', !this.hidden.has(label));
    button.title = 'show or hide';
    button.append(swatch(this.model.palette[label]), word('name', this.model.classes[label]), word('number', number));
    button.addEventListener('click', () => {
      if (!this.hidden.delete(label)) this.hidden.add(label);
      button.setAttribute('aria-pressed', !this.hidden.has(label));
      this.draw();
    });
    line.append(button);
    return line;
  }

  listClasses({ classes, scores }, point) {
    this.parts.scoresTitle.textContent = `Probabilities at ${this.pixel(point)}`;
    this.parts.scores.replaceChildren(...classes.map((label, i) => this.scoreLine(label, scores[i], percent(scores[i]))));
  }

  listBoxes() {
    const { point, threshold } = this.page.state;
    if (!point || !this.prediction) return;
    const x = point.x * this.image.width;
    const y = point.y * this.image.height;
    const here = this.prediction.instances.filter(({ box }) => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
    this.parts.scoresTitle.textContent = `Boxes at ${this.pixel(point)}: ${here.length || 'none'}`;
    this.parts.scores.replaceChildren(...here.slice(0, BOXES).map(({ label, score }) => {
      const line = this.scoreLine(label, score, score.toFixed(2));
      line.classList.toggle('below', score < threshold);
      return line;
    }));
  }

  scoreLine(label, score, number) {
    const line = document.createElement('li');
    line.style.setProperty('--score', score);
    line.append(swatch(this.model.palette[label]), word('name', this.model.classes[label]), word('number', number));
    return line;
  }

  pixel({ x, y }) {
    return `${Math.floor(x * this.image.width)}, ${Math.floor(y * this.image.height)}`;
  }

  /** Wait for an answer; say so if it takes longer than a moment. */
  async question(name, task) {
    const start = performance.now();
    const { busy } = this.parts;
    const tick = () => {
      busy.hidden = false;
      busy.textContent = `${name} ${((performance.now() - start) / 1000).toFixed(0)} s`;
    };
    let timer;
    const patience = name && setTimeout(() => { tick(); timer = setInterval(tick, 1000); }, 250);
    if (name) this.page.working(1);
    try {
      await task();
      this.page.answered();
    } catch (error) {
      for (const waiting of Object.values(this.questions)) waiting.clear();
      this.page.report(error);
    } finally {
      clearTimeout(patience);
      clearInterval(timer);
      if (name) {
        this.page.working(-1);
        busy.hidden = true;
      }
    }
  }

  listen() {
    const { view } = this.parts;
    const place = (event) => {
      const frame = view.getBoundingClientRect();
      return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    };
    view.addEventListener('pointermove', (event) => {
      if (!this.page.state.pinned) this.page.point(...place(event));
    });
    view.addEventListener('click', (event) => {
      this.page.state.pinned = event.pointerType !== 'touch' && !this.page.state.pinned;
      this.page.point(...place(event));
    });
    view.addEventListener('keydown', (event) => {
      const step = event.shiftKey ? 10 : 1;
      const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
      const { point } = this.page.state;
      if (event.key === 'Enter') {
        this.page.state.pinned = !this.page.state.pinned;
      } else if (event.key === 'Escape') {
        this.page.state.pinned = false;
      } else if (!move) return;
      event.preventDefault();
      const { x, y } = point ?? { x: 0.5, y: 0.5 };
      const [dx, dy] = move && point ? move : [0, 0];
      this.page.point(x + dx / this.image.width, y + dy / this.image.height);
    });
  }
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function swatch(colour) {
  const part = word('swatch', '');
  part.style.background = `rgb(${colour})`;
  return part;
}

function word(kind, text) {
  const part = document.createElement('span');
  part.className = kind;
  part.textContent = text;
  return part;
}
