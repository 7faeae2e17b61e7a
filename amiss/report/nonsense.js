// Nonsense: what the model calls by a name with confidence, how it came to be, and from whom it descends.
"use strict";

const folly = { part: 0, mark: 0, order: "sure", page: 0, open: -1 };
const PAGE = 100;
const LIMIT = 14; // log-odds that charts show: 1 less than a millionth
const encodings = () => listed(DATA.nonsense?.parts);
const encoding = () => encodings()[folly.part];
const marksOf = (part) => listed(part?.marks);
const classOf = (index) => DATA.nonsense.classes[index] ?? index;

/** A confidence in words from its log-odds, which tell apart what a percentage rounds to 100. */
function sure(odds) {
  if (typeof odds !== "number") return "not measured";
  if (odds > 9.21) return "over 99.99 %";
  if (odds < -9.21) return "under 0.01 %";
  const share = 100 / (1 + Math.exp(-odds));
  return `${share >= 90 ? share.toFixed(2) : figure(share)} %`;
}

// Pictures from sheets --------------------------------------------------------------------------------------

const sheetsKept = new Map();

/** The picture of a sheet; decoded once. */
function sheetImage(index) {
  if (!sheetsKept.has(index)) {
    const image = new Image();
    image.src = DATA.pictures[index][2];
    sheetsKept.set(index, image.decode().then(() => image));
  }
  return sheetsKept.get(index);
}

/** One individual of a part: its cell of the sheets, or a word where it was not kept. */
function individual(part, cell, alt) {
  const each = part.columns * part.rows;
  const sheet = listed(part.sheets)[Math.floor(cell / each)];
  if (cell < 0 || sheet === undefined) return framed("not kept", "none");
  const at = cell % each;
  const side = DATA.pictures[sheet][0] / part.columns;
  const canvas = el("canvas", { role: "img", class: "change pixel", "aria-label": alt });
  canvas.width = canvas.height = Math.max(1, Math.round(side));
  canvas.redraw = async () => {
    waiting.unobserve(canvas);
    const image = await sheetImage(sheet);
    canvas.getContext("2d").drawImage(image, side * (at % part.columns), side * Math.floor(at / part.columns), side, side, 0, 0, canvas.width, canvas.height);
  };
  waiting.observe(canvas);
  return framed(canvas);
}

// Charts ----------------------------------------------------------------------------------------------------

const CONFIDENCES = [[-9.21, "0.01"], [-6.91, "0.1"], [-4.6, "1"], [-2.2, "10"], [0, "50"], [2.2, "90"], [4.6, "99"], [6.91, "99.9"], [9.21, "99.99"], [11.51, "99.999"]];
const within = (odds) => Math.max(-LIMIT, Math.min(LIMIT, odds));

/** Axes of confidences on a scale of log-odds, over numbers from 1 on, on a scale of their logarithms. */
function oddsAxes(width, height, xs, ys, title, label) {
  const top = Math.log10(Math.max(10, ...xs));
  const bottom = Math.floor(Math.log10(Math.max(1, Math.min(...xs))));
  const powers = Array.from({ length: Math.floor(top) - bottom + 1 }, (_, i) => [bottom + i, count(10 ** (bottom + i))]);
  const seen = ys.filter((value) => typeof value === "number").map(within);
  const low = Math.min(-1, ...seen);
  const high = Math.max(5, ...seen);
  const rows = CONFIDENCES.filter(([value]) => value >= low && value <= high);
  const { svg, sx, sy } = axes(width, height, [bottom, top], [low, high], [title, "confidence, %"], label, powers, rows);
  return { svg, x: (value) => sx(Math.log10(Math.max(10 ** bottom, value))), y: (value) => sy(within(value)) };
}

const path = (xs, ys, x, y) => xs.map((value, i) => (typeof ys[i] === "number" ? `${x(value).toFixed(1)} ${y(ys[i]).toFixed(1)}` : null)).filter(Boolean).join("L");
const WHICH = [["median", "", "median of the classes"], ["mean", "7 4", "mean"], ["worst", "2 3", "worst class"]];

/** Median, mean and worst class of every encoding, over evaluations. */
function curveChart(width) {
  const parts = encodings().filter((part) => part.curve.evaluations.length);
  const xs = parts.flatMap((part) => part.curve.evaluations);
  const ys = parts.flatMap((part) => WHICH.flatMap(([name]) => part.curve[name]));
  const words = parts.map((part) => `${part.encoding}: median ${sure(part.curve.median.at(-1))}, worst ${sure(part.curve.worst.at(-1))}`).join("; ");
  const { svg, x, y } = oddsAxes(width, 320, xs, ys, "evaluations", `Confidence of the classes' best over evaluations. At the end ${words}. The table below has the numbers.`);
  parts.forEach((part, i) => WHICH.forEach(([name, dash]) => {
    const line = path(part.curve.evaluations, part.curve[name], x, y);
    if (line) svg.append(shape("path", { class: `curve of-${i % 5}`, "stroke-dasharray": dash, "stroke-width": name === "median" ? 2.5 : 1.5, d: "M" + line }));
  }));
  return svg;
}

function curveKey() {
  const line = (kind, dash) => el("span", { class: "chart key", "aria-hidden": "true" },
    shape("svg", { viewBox: "0 0 24 14", width: 24, height: 14 }, shape("path", { class: kind, "stroke-dasharray": dash, d: "M1 7H23" })));
  return el("ul", { class: "swatches" }, encodings().map((part, i) => el("li", {}, line(`curve of-${i % 5}`, ""), named(part.encoding))),
    WHICH.map(([, dash, text]) => el("li", {}, line("curve of-3", dash), text)));
}

function curveTable() {
  const rows = encodings().flatMap((part) => {
    const { evaluations, median, mean, worst } = part.curve;
    return evaluations.length ? [[part.encoding, "this model", count(evaluations.at(-1)), sure(median.at(-1)), sure(mean.at(-1)), sure(worst.at(-1))]] : [];
  });
  const paper = listed(DATA.nonsense.paper).map((row) => [row.encoding, `the paper's, ${row.data}`, count(row.evaluations), sure(Math.log(row.median / (1 - row.median))), "\u2013", "\u2013"]);
  return [wideTable(["Encoding", "Network", "Evaluations", "Median class", "Mean", "Worst class"], [...rows, ...paper], "Confidence of the classes' best images"),
    el("p", { class: "soft small lead" }, "The paper's figures are of its own networks, LeNet and AlexNet of 2012, as Nguyen, Yosinski and Clune (2015) report them: they stand here for their order, not for comparison.")];
}

// The wall --------------------------------------------------------------------------------------------------

const ORDERS = {
  sure: ["surest first", (odds) => (a, b) => (odds[b] ?? -Infinity) - (odds[a] ?? -Infinity)],
  unsure: ["least sure first", (odds) => (a, b) => (odds[a] ?? -Infinity) - (odds[b] ?? -Infinity)],
  class: ["by class", () => (a, b) => a - b],
};

function champion(part, mark, index) {
  const odds = mark.odds[index];
  const fooled = typeof odds === "number" && odds >= Math.log(DATA.nonsense.bar / (1 - DATA.nonsense.bar));
  const words = `${classOf(index)}, ${sure(odds)}`;
  return el("li", { class: fooled ? null : "below" },
    el("button", { type: "button", class: "plain", "data-class": index, "aria-pressed": String(folly.open === index), onclick: () => openChampion(index, true) },
      individual(part, mark.cells[index], `champion of ${words}`),
      el("span", { class: "says" }, named(classOf(index), "b"), el("br"), sure(odds), fooled ? null : el("span", { class: "soft" }, ", below the bar"))));
}

function drawWall() {
  const part = encoding();
  const mark = marksOf(part)[folly.mark];
  if (!mark) return;
  const order = mark.odds.map((_, i) => i).sort(ORDERS[folly.order][1](mark.odds));
  const pages = Math.max(1, Math.ceil(order.length / PAGE));
  folly.page = Math.min(folly.page, pages - 1);
  const text = `After ${part.unit} ${count(mark.turn)} of ${count(marksOf(part).at(-1).turn)}: ${count(mark.evaluations)} evaluations`;
  $("nonsense-when").textContent = text;
  $("nonsense-mark").setAttribute("aria-valuetext", text);
  const from = folly.page * PAGE;
  $("nonsense-wall").replaceChildren(...order.slice(from, from + PAGE).map((index) => champion(part, mark, index)));
  $("nonsense-pages").replaceChildren(...(pages > 1 ? [
    el("button", { type: "button", onclick: () => turnPage(-1) }, "Previous"),
    el("button", { type: "button", onclick: () => turnPage(1) }, "Next"),
    el("span", { class: "small soft" }, `Classes ${count(from + 1)} to ${count(Math.min(order.length, from + PAGE))} of ${count(order.length)}`)] : []));
}

function turnPage(by) {
  const pages = Math.ceil(listed(DATA.nonsense.classes).length / PAGE);
  folly.page = Math.max(0, Math.min(pages - 1, folly.page + by));
  drawWall();
  tell($("nonsense-pages").textContent);
  $("nonsense-pages").children[by < 0 ? 0 : 1]?.focus();
}

// One champion ----------------------------------------------------------------------------------------------

const INPUTS = { x: "x", y: "y", distance: "distance from the middle", one: "1" };
const unitOf = (part, turn) => (typeof turn === "number" ? `${part.unit} ${count(turn)}` : "not noted");

/** A node as a formula: its kind of the weighted sum of what feeds it. */
function formula(node) {
  const terms = listed(node.of).map(([source, weight], i) => {
    const size = figure(Math.abs(weight), 3);
    const sign = weight < 0 ? (i ? " \u2212 " : "\u2212") : i ? " + " : "";
    return source === "one" ? `${sign}${size}` : `${sign}${size} \u00b7 ${INPUTS[source] ?? source}`;
  });
  return `${node.name} = ${node.kind}(${terms.join("") || "0"})`;
}

const OUTPUTS = { hls: "hue, lightness and saturation", rgb: "red, green and blue" };

function graphWords(part, graph) {
  if (!listed(graph).length) return null;
  return [el("h3", {}, "Its graph"),
    el("p", { class: "soft small" }, `x and y are the place of a pixel, from \u22121 to 1. The absolute values of the outputs are the color: gray, or ${OUTPUTS[part.color] ?? OUTPUTS.hls}.`),
    el("ul", { class: "formulas" }, graph.map((node) => el("li", {}, el("code", {}, formula(node)))))];
}

function ancestors(part, entry, index) {
  const line = listed(entry.line);
  if (line.length < 2) return part.unit === "step" ? null : el("p", { class: "soft small lead" }, "It has no ancestors that were kept.");
  const left = entry.length - line.length;
  return [el("h3", {}, "Its ancestors"),
    el("p", { class: "soft small" }, `From the first generation to the champion of ${classOf(index)}: ${count(entry.length)} in a row, each with the class that it took first and the ${part.unit}${left > 0 ? `; ${count(left)} of them are left out here` : ""}.`),
    el("ul", { class: "reel ancestors" }, [...line].reverse().map((one) => el("li", {},
      individual(part, one.cell, `ancestor of ${unitOf(part, one.turn)}, which held ${classOf(one.held)}`),
      el("p", { class: "small" }, named(classOf(one.held)), el("br"), el("span", { class: "soft name" }, unitOf(part, one.turn))))))];
}

function oddsChart(part, index) {
  const marks = marksOf(part);
  const xs = marks.map((mark) => mark.turn + 1);
  const ys = marks.map((mark) => mark.odds[index]);
  return fluid((width) => {
    const { svg, x, y } = oddsAxes(width, 220, xs, ys, `${part.unit}s, counted from 1`, `Confidence that it is ${classOf(index)}: ${marks.map((mark, i) => `${unitOf(part, mark.turn)} ${sure(ys[i])}`).join(", ")}`);
    const line = path(xs, ys, x, y);
    if (line) svg.append(shape("path", { class: "curve", d: "M" + line }), ...xs.map((value, i) => (typeof ys[i] === "number" ? shape("circle", { class: "dot", cx: x(value), cy: y(ys[i]), r: 3.5 }) : null)).filter(Boolean));
    return svg;
  });
}

function openChampion(index, move) {
  const part = encoding();
  const entry = part.champions[index];
  folly.open = index;
  for (const button of $("nonsense-wall").querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.class) === index));
  const last = marksOf(part).at(-1);
  const shownLarge = entry.image === null || entry.image === undefined
    ? individual(part, last?.cells[index] ?? -1, `champion of ${classOf(index)}`)
    : framed(picture(entry.image, `champion of ${classOf(index)}, ${sure(entry.odds)}`));
  $("nonsense-champion").replaceChildren(...[
    el("h2", { tabindex: "-1" }, "What it calls ", named(classOf(index)), `, ${part.encoding}`),
    el("div", { class: "one-champion" }, shownLarge, el("div", {},
      el("p", {}, `${sure(entry.odds)} confidence in the file`, typeof entry.odds === "number" ? `, log-odds ${figure(entry.odds, 4)}` : "", entry.met ? ": held when it was read from disk." : `: ${said(entry.outcome)}.`),
      el("p", { class: "soft small name" }, entry.file),
      oddsChart(part, index))),
    ancestors(part, entry, index),
    graphWords(part, entry.graph),
  ].flat(3).filter(Boolean));
  if (move) {
    $("nonsense-champion").querySelector("h2").focus({ preventScroll: true });
    $("nonsense-champion").scrollIntoView();
  }
}

function showEncoding(index) {
  folly.part = index;
  folly.mark = Math.max(0, marksOf(encoding()).length - 1);
  folly.page = 0;
  const slider = $("nonsense-mark");
  slider.setAttribute("max", String(folly.mark));
  slider.value = folly.mark;
  if ($("nonsense-which")) $("nonsense-which").value = index;
  drawWall();
  const mark = marksOf(encoding())[folly.mark];
  if (mark) openChampion(mark.odds.map((_, i) => i).sort(ORDERS.sure[1](mark.odds))[0], false);
}

// The page --------------------------------------------------------------------------------------------------

/** A table under a heading of its own, with what it says before and after. */
const tabled = (one) => [el("h2", {}, named(one.title)),
  one.text ? el("p", { class: "soft" }, named(one.text)) : null,
  wideTable(listed(one.head), listed(one.rows), one.title),
  one.note ? el("p", { class: "soft small lead" }, named(one.note)) : null];

function nonsense() {
  const found = DATA.nonsense;
  const parts = encodings();
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence)),
    el("p", { class: "lead" }, "Images that were made for no other end than that the model calls them by a name with confidence. Of every class the best one is kept, its champion."),
    listed(found.notes).map((text) => el("p", { class: "lead" }, named(text))),
    parts.length ? [
      fluid(curveChart), curveKey(), curveTable(),
      el("h2", {}, "The champions"),
      el("div", { class: "tools" },
        parts.length > 1 ? el("label", {}, "Encoding", el("select", { id: "nonsense-which", onchange: (event) => showEncoding(Number(event.target.value)) }, parts.map((part, i) => el("option", { value: i }, part.title)))) : null,
        el("label", {}, "Order", el("select", { id: "nonsense-order", onchange: (event) => { folly.order = event.target.value; folly.page = 0; drawWall(); } }, Object.entries(ORDERS).map(([value, [text]]) => el("option", { value }, text))))),
      el("div", { class: "film" }, el("output", { id: "nonsense-when", for: "nonsense-mark" }),
        el("input", { type: "range", id: "nonsense-mark", min: 0, max: 0, value: 0, step: 1, "aria-label": "How far the search had come", oninput: (event) => { folly.mark = Number(event.target.value); drawWall(); } })),
      el("ul", { class: "wall champions", id: "nonsense-wall" }),
      el("div", { class: "row", id: "nonsense-pages" }),
      el("div", { id: "nonsense-champion" }),
    ] : null,
    listed(found.tables).map(tabled),
  ];
}
