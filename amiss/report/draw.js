// Elements, pictures, change maps and charts, drawn from data alone. Text only ever enters as text nodes.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const PLAIN = new Set(["class", "id", "href", "for", "role", "tabindex", "type", "min", "max", "step", "value", "scope", "hidden", "name"]);

/** An element with listed attributes, `on...` listeners and children; strings become text. */
function el(tag, props, ...children) {
  return furnish(document.createElement(tag), props, children);
}

/** The same for SVG. */
function shape(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function furnish(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PLAIN.has(name) || name.startsWith("aria-") || name.startsWith("data-")) node.setAttribute(name, value === true ? "" : value);
    else throw new Error("attribute not allowed: " + name);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A name that somebody else chose: isolated, so that it cannot reorder the words around it. */
const named = (text, tag = "span") => el(tag, { class: "name" }, String(text ?? "unnamed"));

const figure = (value, digits = 3) =>
  typeof value === "number" ? value.toLocaleString("en-US", { maximumSignificantDigits: digits }).replace("-", "\u2212") : "not measured";
const count = (value) => (typeof value === "number" ? value.toLocaleString("en-US") : "?");
const percent = (value) => (typeof value === "number" ? figure(100 * value) + " %" : "not measured");

/** An image of the album. Small ones are enlarged without smoothing, so that each pixel stays one. */
function picture(index, alt) {
  const [width, height, source] = DATA.pictures[index];
  const image = el("img", { class: Math.max(width, height) <= 160 ? "pixel" : null });
  image.width = width;
  image.height = height;
  image.alt = alt;
  image.decoding = "async";
  image.src = source;
  return image;
}

const framed = (child, kind = "") => el("div", { class: "frame " + kind }, child);

// Change maps -----------------------------------------------------------------------------------------------

const kept = new Map();

/** RGBA of an album picture at its own size; the last few are kept. */
function pixels(index, width, height) {
  const key = index + ":" + width + ":" + height;
  if (!kept.has(key)) {
    const image = new Image();
    image.src = DATA.pictures[index][2];
    kept.set(key, image.decode().then(() => {
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      const brush = canvas.getContext("2d", { willReadFrequently: true });
      brush.drawImage(image, 0, 0, width, height);
      return brush.getImageData(0, 0, width, height).data;
    }));
    if (kept.size > 96) kept.delete(kept.keys().next().value);
  }
  return kept.get(key);
}

/** Signed change of each pixel, in 1/255, of the color channel that changed most there. */
async function change(before, after) {
  const [width, height] = DATA.pictures[before];
  const [a, b] = await Promise.all([pixels(before, width, height), pixels(after, width, height)]);
  const out = new Int16Array(width * height);
  for (let i = 0; i < out.length; i++) {
    for (let c = 0; c < 3; c++) {
      const step = b[4 * i + c] - a[4 * i + c];
      if (Math.abs(step) > Math.abs(out[i])) out[i] = step;
    }
  }
  return { width, height, values: out };
}

/** Colors of changes -255..255 as RGB triples: blue is darker, orange is brighter, the ground is no change. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const [low, mid, high] = ["--low", "--mid", "--high"].map((name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  });
  const colors = new Uint8ClampedArray(511 * 3);
  for (let step = -255; step <= 255; step++) {
    // A square root, on every map alike: 1/255 can still be seen, and a full swing is not cut off.
    const far = Math.sqrt(Math.abs(step) / 255);
    for (let c = 0; c < 3; c++) colors[3 * (step + 255) + c] = mid[c] + far * ((step < 0 ? low : high)[c] - mid[c]);
  }
  return colors;
}

/** Draw signed changes, in 1/255, and say them in words for those who cannot see them. */
function paintChange(canvas, { width, height, values }, stretch, what = "change") {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const colors = palette();
  canvas.width = width;
  canvas.height = height;
  const brush = canvas.getContext("2d");
  const sheet = brush.createImageData(width, height);
  for (let i = 0; i < values.length; i++) {
    // Stretched, the map is linear from minus to plus its own largest change.
    const value = stretch ? Math.round(255 * Math.sign(values[i]) * (values[i] / (largest || 1)) ** 2) : values[i];
    sheet.data.set(colors.subarray(3 * (value + 255), 3 * (value + 255) + 3), 4 * i);
    sheet.data[4 * i + 3] = 255;
  }
  brush.putImageData(sheet, 0, 0);
  const moved = values.reduce((sum, value) => sum + (Math.abs(value) > 12), 0) / values.length;
  canvas.setAttribute("aria-label", `${what}: ${percent(moved)} of pixels moved by more than 0.05 of full range, the largest by ${figure(largest / 255)}`);
}

/** Draw the change between two pictures, unless another was asked for meanwhile. */
async function drawChange(canvas, before, after, stretch) {
  const turn = (canvas.turn = (canvas.turn || 0) + 1);
  const found = await change(before, after);
  if (turn === canvas.turn) paintChange(canvas, found, stretch);
}

const waiting = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) entry.target.redraw();
}, { rootMargin: "600px" });

/** A canvas that `draw` fills when it comes near the window, and again when the colors change. */
function mapCanvas(index, draw) {
  const [width, height] = DATA.pictures[index];
  const canvas = el("canvas", { role: "img", class: "change" + (Math.max(width, height) <= 160 ? " pixel" : ""), "aria-label": "change" });
  canvas.redraw = () => { waiting.unobserve(canvas); return draw(canvas); };
  waiting.observe(canvas);
  return canvas;
}

/** The change from one picture to another. */
const changeMap = (before, after, stretch = false) => mapCanvas(before, (canvas) => drawChange(canvas, before, after, stretch));

/** A change that is kept as a picture: 128 is none, 1 and 255 are minus and plus `largest`, in [0, 1]. */
const keptChange = (index, largest) => mapCanvas(index, async (canvas) => {
  const [width, height] = DATA.pictures[index];
  const bytes = await pixels(index, width, height);
  const values = Int16Array.from({ length: width * height }, (_, i) => {
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(255 * largest * Math.max(-1, (bytes[4 * i + c] - 128) / 127)));
    return [r, g, b].reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
  });
  paintChange(canvas, { width, height, values }, false, "mean change");
});

/** The scale of all change maps. */
function legend(stretch = false) {
  const canvas = el("canvas", { "aria-hidden": "true" });
  canvas.width = 401;
  canvas.height = 1;
  canvas.redraw = () => {
    const colors = palette();
    const brush = canvas.getContext("2d");
    const sheet = brush.createImageData(401, 1);
    for (let i = 0; i < 401; i++) {
      const at = (i - 200) / 200;
      const value = Math.round(255 * Math.sign(at) * at * at);
      sheet.data.set([...colors.subarray(3 * (value + 255), 3 * (value + 255) + 3), 255], 4 * i);
    }
    brush.putImageData(sheet, 0, 0);
  };
  canvas.classList.add("change");
  canvas.redraw();
  const ticks = stretch ? ["own largest", "0", "own largest"] : ["\u22121", "\u22120.25", "0", "+0.25", "+1"];
  return el("div", { class: "legend" },
    el("div", { class: "ends" }, el("span", {}, "darker"), el("span", {}, "strongest channel"), el("span", {}, "brighter")),
    canvas,
    el("div", { class: "ticks" }, ticks.map((tick) => el("span", {}, tick))));
}

const redrawAll = () => document.querySelectorAll("canvas.change").forEach((canvas) => canvas.redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
addEventListener("beforeprint", redrawAll);

// Charts ----------------------------------------------------------------------------------------------------

/** Round numbers that span [low, high] in about `wanted` steps. */
function ticks(low, high, wanted) {
  const raw = (high - low || 1) / wanted;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * ([1, 2, 5].find((m) => m * unit >= raw) || 10);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) out.push(i * step + 0); // + 0: no minus zero
  return out;
}

/** A box that draws again, at its true width, whenever that changes: text in charts never shrinks. */
function fluid(draw) {
  const box = el("div", { class: "chart" });
  let last = 0;
  box.redraw = () => { if (last) box.replaceChildren(draw(last)); };
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (width && width !== last) { last = width; box.redraw(); }
  }).observe(box);
  return box;
}

/** Axes of a line chart: the SVG and the two scales. `x` and `y` are [low, high]; `marks` name places on the x axis by words, `rows` on the y axis. */
function axes(width, height, x, y, titles, label, marks = null, rows = null) {
  const pad = { left: 46, right: 14, top: 24, bottom: 40 };
  const sx = (value) => pad.left + ((value - x[0]) / (x[1] - x[0] || 1)) * (width - pad.left - pad.right);
  const sy = (value) => height - pad.bottom - ((value - y[0]) / (y[1] - y[0] || 1)) * (height - pad.top - pad.bottom);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const [tick, text] of rows || ticks(y[0], y[1], 4).map((value) => [value, figure(value)])) {
    svg.append(shape("line", { class: "grid", x1: pad.left, x2: width - pad.right, y1: sy(tick), y2: sy(tick) }),
      shape("text", { x: pad.left - 8, y: sy(tick) + 4, "text-anchor": "end" }, text));
  }
  let end = -Infinity;
  for (const [tick, text] of marks || ticks(x[0], x[1], width < 440 ? 4 : 7).map((value) => [value, figure(value)])) {
    const half = 3.6 * text.length;
    if (sx(tick) - half < end + 6) continue; // words that would touch the ones before are left to the table
    end = sx(tick) + half;
    svg.append(shape("text", { x: Math.min(sx(tick), width - half), y: height - pad.bottom + 18, "text-anchor": "middle" }, text));
  }
  svg.append(shape("line", { class: "axis", x1: pad.left, x2: width - pad.right, y1: height - pad.bottom, y2: height - pad.bottom }),
    shape("text", { x: 0, y: 12 }, titles[1]),
    shape("text", { x: width - pad.right, y: height - 5, "text-anchor": "end" }, titles[0]));
  return { svg, sx, sy };
}

/** A table with a heading row; numbers are set flush right, elements stay what they are. */
function table(head, rows, label) {
  const cell = (value, tag, props) => el(tag, { class: typeof value === "number" ? "number" : null, ...props },
    typeof value === "number" ? figure(value, 4) : value instanceof Node ? value : named(value ?? "\u2013"));
  const numeric = head.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number" || row[column] === null));
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
    el("table", {},
      el("thead", {}, el("tr", {}, head.map((title, column) => el("th", { scope: "col", class: numeric[column] ? "number" : null }, named(title))))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value) => cell(value, "td")))))));
}
