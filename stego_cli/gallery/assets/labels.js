"use strict";
// Data that come as scripts, small masks, and the drawing of them.
const waiting = {};

// Called by the scripts in data/.
function stegoData(name, content) {
  waiting[name].resolve(content);
}

function load(name) {
  if (!waiting[name]) {
    const entry = waiting[name] = {};
    entry.promise = new Promise((resolve, reject) => { entry.resolve = resolve; entry.reject = reject; });
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onerror = () => { entry.reject(new Error(`data/${name}.js is missing.`)); delete waiting[name]; };
    document.head.append(script);
  }
  return waiting[name].promise;
}

// An element with attributes and children; text is text, whatever is in it.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key in element && key !== "style" && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const nameOf = (name) => make("bdi", {}, Edits.visible(name));
const percent = (share) => share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

const Labels = (() => {
  const decoded = new Map(); // of the photographs looked at last

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // The small mask of a photograph: {width, height, labels}, class numbers as they were found.
  async function of(index, chunk) {
    if (!decoded.has(index)) {
      const piece = await load(`masks-${Math.floor(index / chunk)}`);
      const [width, height, text] = piece[index % chunk];
      decoded.set(index, { width, height, labels: text ? await inflate(text) : new Uint8Array(0) });
      if (decoded.size > 300) decoded.delete(decoded.keys().next().value);
    }
    return decoded.get(index);
  }

  // Draws a mask with a colour for each found class; `only` leaves out all but some classes.
  function draw(canvas, mask, colours, only) {
    if (!mask.labels.length) return;
    canvas.width = mask.width;
    canvas.height = mask.height;
    const image = new ImageData(mask.width, mask.height), pixels = new Uint32Array(image.data.buffer);
    const table = new Uint32Array(256);
    for (const [number, colour] of colours) {
      if (only && !only.has(number)) continue;
      const rgb = parseInt(colour.slice(1), 16);
      table[number] = 0xff000000 | (rgb & 255) << 16 | (rgb >> 8 & 255) << 8 | rgb >> 16;
    }
    for (let at = 0; at < pixels.length; at++) pixels[at] = table[mask.labels[at]];
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // The found class at a place of an element that shows the mask.
  function at(mask, box, x, y) {
    const column = Math.floor((x - box.left) / box.width * mask.width);
    const row = Math.floor((y - box.top) / box.height * mask.height);
    return column >= 0 && row >= 0 && column < mask.width && row < mask.height
      ? mask.labels[row * mask.width + column] : undefined;
  }

  return { of, draw, at };
})();
