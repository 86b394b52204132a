// Drawing on a canvas that is `scale` times as large as the image.

// The colour map runs from black over red to yellow, in even steps.
const HEAT = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];

/** The colour map as a CSS gradient. */
export const heatGradient = `linear-gradient(90deg, ${HEAT.map((colour) => `rgb(${colour})`)})`;

/** Draw a label map; `hidden` is a set of classes. */
export function drawLabels(canvas, { labels, size }, palette, hidden, opacity) {
  const table = new Uint8ClampedArray(256 * 4);
  palette.forEach((colour, index) => {
    if (index < 256 && !hidden.has(index)) table.set([...colour, 255 * opacity], 4 * index);
  });

  paint(canvas, labels, size, table);
}

/** Draw values from 0 to 255 over `extent` times the image, the low ones more transparent. */
export function drawHeat(canvas, { values, size, extent }, opacity) {
  const table = new Uint8ClampedArray(256 * 4);
  for (let value = 0; value < 256; value++) {
    const alpha = 255 * opacity * Math.min(1, 0.45 + value / 160);
    table.set([...heatColour(value / 255), alpha], 4 * value);
  }

  paint(canvas, values, size, table, extent);
}

/** Draw masks, boxes and labels of instances, the surest last; `text` returns the label of an instance. */
export function drawInstances(canvas, scale, instances, palette, opacity, text) {
  const pen = canvas.getContext('2d');
  pen.imageSmoothingEnabled = false;
  const surestLast = [...instances].reverse();

  // All masks share one layer, so that the image still shows where many lie over one another.
  const layer = new OffscreenCanvas(canvas.width / scale, canvas.height / scale);
  for (const { mask, label } of surestLast) {
    if (!mask?.size[0]) continue;
    layer.getContext('2d').drawImage(paintMask(mask, [...palette[label], 255]), ...mask.place);
  }
  pen.globalAlpha = opacity;
  pen.drawImage(layer, 0, 0, canvas.width, canvas.height);
  pen.globalAlpha = 1;

  // Lines and letters are sized in pixels of the screen: a unit is the number of canvas pixels in one of them.
  const unit = canvas.width / (canvas.clientWidth || canvas.width);
  const height = 15 * unit;
  pen.lineWidth = 1.5 * unit;
  pen.font = `${11.5 * unit}px system-ui, 'DejaVu Sans', sans-serif`;
  pen.textBaseline = 'middle';

  for (const instance of surestLast) {
    const [left, top, right, bottom] = instance.box.map((value) => value * scale);
    const colour = `rgb(${palette[instance.label]})`;
    pen.strokeStyle = colour;
    pen.strokeRect(left, top, right - left, bottom - top);

    const words = text(instance);
    if (!words) continue;

    const foot = Math.max(top, height);
    pen.fillStyle = colour;
    pen.fillRect(left - pen.lineWidth / 2, foot - height, pen.measureText(words).width + 6 * unit, height);
    pen.fillStyle = isLight(palette[instance.label]) ? '#000' : '#fff';
    pen.fillText(words, left + 2 * unit, foot - height / 2);
  }
}

/** Draw each of `values` in its colour of `table`. */
function paint(canvas, values, [width, height], table, extent = [1, 1]) {
  const image = new ImageData(width, height);
  const colours = new Uint32Array(table.buffer);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours[values[i]];

  const pen = canvas.getContext('2d');
  pen.imageSmoothingEnabled = false;
  pen.drawImage(toCanvas(image), 0, 0, canvas.width * extent[0], canvas.height * extent[1]);
}

function paintMask({ size: [width, height], runs }, colour) {
  const image = new ImageData(width, height);
  let pixel = 0;
  runs.forEach((run, index) => {
    const end = pixel + run;
    for (; pixel < end; pixel++) if (index % 2) image.data.set(colour, 4 * pixel);
  });
  return toCanvas(image);
}

function toCanvas(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}

/** The colour at a share of the colour map, between its two nearest steps. */
function heatColour(share) {
  const position = share * (HEAT.length - 1);
  const low = Math.min(Math.floor(position), HEAT.length - 2);
  return HEAT[low].map((value, channel) => value + (position - low) * (HEAT[low + 1][channel] - value));
}

const isLight = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 140;
