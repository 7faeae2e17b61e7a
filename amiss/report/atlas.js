// The atlas: what the classifier says all over a plane of codes, before and beside the image it started from.
"use strict";

// Hue and hatching repeat after different counts, so that no two of 70 classes share both.
const HUES = ["#4477aa", "#ee8866", "#44aa77", "#ccaa33", "#aa4499", "#66ccee", "#999999", "#cc6677", "#99bb44", "#7766cc"];
const HATCHES = ["", "M0 10L10 0", "M5 0V10", "M0 0L10 10", "M0 5H10", "M5 4V6M4 5H6", "M0 5H10M5 0V10"];

const PLANES = {
  "latent": "Codes have two dimensions, and this is where almost all of them lie",
  "code, solution": "The plane goes through the code and where the search ended; its other axis is arbitrary",
  "code, solution, runner-up": "The plane goes through the code, the solution and the runner-up",
};

const sheets = () => listed(DATA.atlas?.cases);
const className = (index) => (typeof index === "number" ? listed(DATA.atlas?.classes)[index] ?? String(index) : String(index));
const sheetOf = (item) => sheets().findIndex((sheet) => sheet.case === item.id);

/** Share of the cells of each class, the largest first. */
function shares(cells) {
  const tally = new Map();
  for (const cell of cells) tally.set(cell, (tally.get(cell) || 0) + 1);
  return [...tally].map(([index, n]) => [index, n / cells.length]).sort((a, b) => b[1] - a[1]);
}

/** Classes of the whole atlas in the order in which they get their looks. */
function ranked() {
  ranked.order ??= shares(sheets().flatMap((sheet) => [...sheet.decoded, ...sheet.moved])).map(([index]) => index);
  return ranked.order;
}

/** Fill a path of the brush in the look of a class: its hue, toned to the page, and its hatching. */
function fillClass(brush, index, draw, scale) {
  const rank = ranked().indexOf(index);
  const style = getComputedStyle(document.documentElement);
  brush.fillStyle = style.getPropertyValue("--paper").trim();
  draw();
  brush.globalAlpha = 0.5;
  brush.fillStyle = HUES[rank % HUES.length];
  draw();
  brush.globalAlpha = 1;
  const hatch = HATCHES[rank % HATCHES.length];
  if (!hatch) return;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 10 * scale;
  const pen = tile.getContext("2d");
  pen.scale(scale, scale);
  pen.strokeStyle = style.getPropertyValue("--ink").trim();
  pen.globalAlpha = 0.4;
  pen.stroke(new Path2D(hatch));
  brush.fillStyle = brush.createPattern(tile, "repeat");
  draw();
}

/** The cell that lies deepest inside its class, in steps to another class or to a mark: where its name has most room. */
function deepest(cells, n, index, marked) {
  const depth = new Int32Array(n * n);
  const near = (i, j) => (i < 0 || j < 0 || i >= n || j >= n ? 0 : depth[j * n + i]);
  const free = (at) => cells[at] === index && !marked.has(at);
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) if (free(j * n + i)) depth[j * n + i] = Math.min(near(i - 1, j), near(i, j - 1)) + 1;
  let best = 0;
  for (let j = n - 1; j >= 0; j--) {
    for (let i = n - 1; i >= 0; i--) {
      const at = j * n + i;
      depth[at] = Math.min(depth[at], Math.min(near(i + 1, j), near(i, j + 1)) + 1);
      if (depth[at] > depth[best]) best = at;
    }
  }
  if (!depth[best]) best = cells.indexOf(index); // marks lie all over it
  return [best % n, Math.floor(best / n)];
}

function drawMap(canvas, sheet, cells, at) {
  const side = Math.round(canvas.clientWidth);
  if (!side) return;
  const scale = devicePixelRatio || 1;
  canvas.width = canvas.height = side * scale;
  const { n } = sheet;
  const brush = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const [ink, paper] = ["--ink", "--paper"].map((name) => style.getPropertyValue(name).trim());
  // A cell lies around its node; those of the outermost nodes are cut off by the edge.
  const edge = (k) => Math.round(Math.min(1, Math.max(0, (k - 0.5) / (n - 1))) * side * scale);
  for (const index of new Set(cells)) {
    const region = new Path2D();
    cells.forEach((cell, k) => {
      if (cell !== index) return;
      const [i, j] = [k % n, n - 1 - Math.floor(k / n)]; // the canvas has its lowest y at the bottom
      region.rect(edge(i), edge(j), edge(i + 1) - edge(i), edge(j + 1) - edge(j));
    });
    fillClass(brush, index, () => brush.fill(region), scale);
  }
  brush.scale(scale, scale);
  const x = (value) => ((value - sheet.x[0]) / (sheet.x[1] - sheet.x[0])) * side;
  const y = (value) => side - ((value - sheet.y[0]) / (sheet.y[1] - sheet.y[0])) * side;
  const outlined = (path, fill) => {
    Object.assign(brush, { lineJoin: "round", lineWidth: 4, strokeStyle: paper });
    brush.stroke(path);
    Object.assign(brush, { lineWidth: 1.5, strokeStyle: ink, fillStyle: fill });
    if (fill) brush.fill(path);
    brush.stroke(path);
  };
  const marks = [sheet.origin, sheet.code, sheet.solution, sheet.runner_up, ...listed(sheet.path)].filter(Boolean);
  const marked = new Set(marks.map((mark) => nodeAt(mark[1], sheet.y, n) * n + nodeAt(mark[0], sheet.x, n)));
  brush.setLineDash([3, 3]); // below the names, which it would cut
  Object.assign(brush, { lineWidth: 1, strokeStyle: ink });
  brush.stroke(new Path2D(`M${x(at[0])} 0V${side}M0 ${y(at[1])}H${side}`));
  brush.setLineDash([]);
  for (const [index, share] of shares(cells)) {
    if (share < 0.03) continue;
    const [i, j] = deepest(cells, n, index, marked);
    plate(brush, className(index), (i / (n - 1)) * side, side - (j / (n - 1)) * side, side, ink, paper);
  }
  const path = listed(sheet.path);
  if (path.length > 1) outlined(new Path2D("M" + path.map((stop) => `${x(stop[0])} ${y(stop[1])}`).join("L")));
  for (const stop of path) outlined(polygon(x(stop[0]), y(stop[1]), 2.5, 12), ink);
  if (sheet.origin) outlined(star(x(sheet.origin[0]), y(sheet.origin[1])), paper);
  if (sheet.code) outlined(polygon(x(sheet.code[0]), y(sheet.code[1]), 8, 3), paper);
  if (sheet.solution) outlined(polygon(x(sheet.solution[0]), y(sheet.solution[1]), 7, 24), paper);
  if (sheet.runner_up) outlined(new Path2D(`M${x(sheet.runner_up[0]) - 6} ${y(sheet.runner_up[1]) - 6}h12v12h-12Z`), paper);
}

function plate(brush, text, x, y, side, ink, paper) {
  brush.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const word = text.length > 18 ? text.slice(0, 17) + "\u2026" : text;
  const wide = brush.measureText(word).width + 8;
  const left = Math.max(1, Math.min(side - wide - 1, x - wide / 2));
  const top = Math.max(1, Math.min(side - 19, y - 9));
  brush.fillStyle = paper;
  brush.fillRect(left, top, wide, 18);
  brush.fillStyle = ink;
  brush.fillText(word, left + 4, top + 13);
}

const polygon = (x, y, r, corners) => round(x, y, Array(corners).fill(r));
const star = (x, y) => round(x, y, Array.from({ length: 10 }, (_, i) => (i % 2 ? 4 : 10)));
const round = (x, y, radii) => new Path2D("M" + radii.map((r, i) => `${x + r * Math.sin((2 * Math.PI * i) / radii.length)} ${y - r * Math.cos((2 * Math.PI * i) / radii.length)}`).join("L") + "Z");

// What stands at a point ------------------------------------------------------------------------------------

/** The node that is nearest to a value within [low, high]. */
const nodeAt = (value, [low, high], n) => Math.min(n - 1, Math.max(0, Math.round(((value - low) / (high - low)) * (n - 1))));

function drawThumb(canvas, sheet, at) {
  const { n, image } = sheet.thumbs;
  const [width, height] = DATA.pictures[image];
  const [i, j] = [nodeAt(at[0], sheet.x, n), nodeAt(at[1], sheet.y, n)];
  const turn = (canvas.turn = (canvas.turn || 0) + 1);
  return pixels(image, width, height).then((bytes) => {
    if (turn !== canvas.turn) return;
    const [left, top, right, bottom] = [i, j, i + 1, j + 1].map((k, axis) => Math.round((k * (axis % 2 ? height : width)) / n));
    canvas.width = right - left;
    canvas.height = bottom - top;
    canvas.getContext("2d").putImageData(new ImageData(bytes, width, height), -left, -top);
  });
}

/** Two maps of one plane under one crosshair, which the pointer and the arrow keys move. */
function maps(sheet) {
  const start = () => [...(sheet.code ?? sheet.origin ?? [(sheet.x[0] + sheet.x[1]) / 2, (sheet.y[0] + sheet.y[1]) / 2])];
  let at = start();
  const thumb = sheet.thumbs ? el("canvas", { role: "img", class: "pixel" }) : null;
  const line = el("output", { id: "atlas-says", "aria-live": "polite" });
  const here = (cells) => className(cells[nodeAt(at[1], sheet.y, sheet.n) * sheet.n + nodeAt(at[0], sheet.x, sheet.n)]);
  const map = (id, cells, what) => {
    const canvas = el("canvas", { id, class: "change map", tabindex: "0", role: "application", "aria-roledescription": "map", "aria-describedby": "atlas-says",
      "aria-label": `${what}: ${shares(cells).slice(0, 6).map(([index, share]) => `${className(index)} ${percent(share)}`).join(", ")}. Arrow keys move the point.`,
      onkeydown: steer, onpointermove: point, onpointerdown: point });
    canvas.redraw = () => drawMap(canvas, sheet, cells, at);
    new ResizeObserver(() => canvas.redraw()).observe(canvas);
    return el("figure", {}, el("figcaption", {}, what), canvas);
  };
  function go(x, y) {
    const within = (value, [low, high]) => Math.min(high, Math.max(low, value));
    at = [within(x, sheet.x), within(y, sheet.y)];
    const text = `At ${figure(at[0], 2)}, ${figure(at[1], 2)}: the decoded image is called '${here(sheet.decoded)}', the changed image '${here(sheet.moved)}'.`;
    line.textContent = text;
    thumb?.setAttribute("aria-label", `decoded image, called '${here(sheet.decoded)}'`);
    if (thumb) drawThumb(thumb, sheet, at);
    for (const canvas of document.querySelectorAll("canvas.map")) canvas.redraw();
  }
  function point(event) {
    const box = event.currentTarget.getBoundingClientRect();
    const [right, up] = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
    go(sheet.x[0] + right * (sheet.x[1] - sheet.x[0]), sheet.y[0] + up * (sheet.y[1] - sheet.y[0]));
  }
  function steer(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Home") go(...start());
    else if (way) go(at[0] + (way[0] * (sheet.x[1] - sheet.x[0])) / (sheet.n - 1), at[1] + (way[1] * (sheet.y[1] - sheet.y[0])) / (sheet.n - 1));
    else return;
    event.preventDefault();
  }
  const stage = el("div", { class: "maps" }, map("map-decoded", sheet.decoded, "What the decoded image g(z) is called"), map("map-moved", sheet.moved, "What the changed image x' is called"),
    el("figure", { class: "point" }, el("figcaption", {}, thumb ? "The decoded image at the point" : "The point"), thumb ? framed(thumb) : null, el("p", { class: "small" }, line)));
  return [stage, () => go(...at)];
}

/** The path as stretches of one label each. */
function stretches(path) {
  const out = [];
  listed(path).forEach(([, , label], step) => {
    if (out.length && out.at(-1)[2] === className(label)) out.at(-1)[1] = step;
    else out.push([step, step, className(label)]);
  });
  return out;
}

function swatch(index) {
  const canvas = el("canvas", { class: "change swatch", "aria-hidden": "true" });
  canvas.redraw = () => {
    canvas.width = canvas.height = 40;
    const brush = canvas.getContext("2d");
    fillClass(brush, index, () => brush.fillRect(0, 0, 40, 40), 2);
  };
  canvas.redraw();
  return el("li", {}, canvas, named(className(index)));
}

function key(sheet) {
  const marks = [["star", "the origin", sheet.origin], ["triangle", "the code of the image", sheet.code], ["circle", /met$/.test(sheet.outcome) ? "the solution" : "the best attempt, which is no solution", sheet.solution], ["square", "the runner-up", sheet.runner_up], ["dots", "the path of the search", listed(sheet.path).length > 1]];
  const present = new Set([...sheet.decoded, ...sheet.moved]);
  const most = ranked().filter((index) => present.has(index));
  return [el("ul", { class: "swatches" }, most.slice(0, 12).map(swatch), most.length > 12 ? el("li", { class: "soft" }, `and ${count(most.length - 12)} more, in the table below`) : null),
    el("p", { class: "soft small" }, "Marks: " + marks.filter((mark) => mark[2]).map(([mark, text]) => `${mark}, ${text}`).join("; ") + ". Dashed lines cross at the point.")];
}

function atlasPage(index) {
  const sheet = sheets()[index] ?? sheets()[0];
  const item = DATA.cases.find((entry) => entry.id === sheet.case);
  const [stage, began] = maps(sheet);
  const moved = new Map(shares(sheet.moved));
  const decoded = new Map(shares(sheet.decoded));
  const rows = ranked().filter((c) => moved.has(c) || decoded.has(c)).map((c) => [className(c), percent(decoded.get(c) ?? 0), percent(moved.get(c) ?? 0)]);
  const file = (entry) => DATA.cases.find((one) => one.id === entry.case)?.name ?? entry.case;
  const choice = el("select", { id: "atlas-case", onchange: (event) => { location.hash = "#/atlas/" + event.target.value; } },
    sheets().map((entry, i) => el("option", { value: i }, `${file(entry)}: ${entry.title ?? "a case"}${entry.outcome ? `, ${said(entry.outcome)}` : ""}`)));
  choice.value = sheets().indexOf(sheet);
  $("atlas").replaceChildren(...[
    el("h1", { tabindex: "-1" }, "Atlas"),
    el("p", { class: "lead" }, "A plane of codes: what the classifier calls the decoded image at each point, and what it calls the original with that change. Where the two differ, the change means one thing on its own and another on this image."),
    el("div", { class: "tools" }, el("label", {}, "Case", choice)),
    el("p", { class: "lead" }, named(file(sheet)), ", ", named(sheet.title ?? "a case"), `: ${said(sheet.outcome)}. `, named((Object.hasOwn(PLANES, sheet.plane) ? PLANES[sheet.plane] : null) ?? sheet.plane ?? ""), sheet.plane ? ". " : null, `The two maps differ in ${percent(sheet.differ)} of their cells. `,
      item ? el("a", { href: "#/case/" + DATA.cases.indexOf(item) }, "See the case") : null),
    stage, ...key(sheet),
    el("details", {}, el("summary", {}, "The same as a table"), table(["Class", "Decoded image", "Changed image"], rows, "Share of the cells by class"),
      listed(sheet.path).length ? table(["From step", "To step", "Called"], stretches(sheet.path), "Regions that the path goes through") : null),
  ].filter(Boolean));
  began();
}
