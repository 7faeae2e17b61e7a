// Imposters: images that look like one class and are another to a hidden layer.
"use strict";

const likes = { cell: 0 };
const cells = () => listed(DATA.imposters?.table);
const inCell = (list, cell = cells()[likes.cell]) => listed(list).filter((entry) => entry.layer === cell?.layer && entry.delta === cell?.delta);
/** What the sentence on top is about: the last layer, at the bound nearest to ten gray levels. */
function telling() {
  const far = (cell) => (cell.layer === cells().at(-1).layer ? Math.abs(cell.gray_levels - 10) : Infinity);
  return cells().reduce((best, cell, i) => (far(cell) < far(cells()[best]) ? i : best), 0);
}
const where = (entry) => `${entry.layer} at ${entry.delta}`;
/** A share in whole percents, that says all or none only where it is all or none: as the sentence on top has it. */
function whole(share) {
  if (typeof share !== "number") return "not measured";
  if (share >= 0.995 && share < 1) return "over 99%";
  return share > 0 && share < 0.005 ? "under 1%" : `${Math.round(100 * share)}%`;
}
const ratioOf = (value) => (typeof value === "number" ? value.toFixed(2) : "not measured");
const levelsOf = (value) => `${figure(255 * value)} ${Math.abs(255 * value - 1) < 1e-6 ? "gray level" : "gray levels"}`;

// In numbers ------------------------------------------------------------------------------------------------

const DASHES = ["", "7 4", "2 3", "9 3 2 3", "1 5"];
const layersOf = () => [...new Set(cells().map((cell) => cell.layer))];
/** How the line of the i-th layer is drawn: four colors by five dashes. */
const lineOf = (i) => ({ class: `curve of-${i % 4}`, "stroke-dasharray": DASHES[i % DASHES.length] });

/** R1 against the bound, one line a layer. */
function ratioChart(width) {
  const layers = layersOf();
  const levels = cells().map((cell) => cell.gray_levels);
  const top = Math.max(1, ...cells().map((cell) => cell.ratio.high ?? 0));
  const said = layers.map((layer) => `${layer}: ${cells().filter((cell) => cell.layer === layer).map((cell) => ratioOf(cell.ratio.median)).join(", ")}`);
  const { svg, sx, sy } = axes(width, 300, [Math.min(...levels), Math.max(...levels)], [0, top], ["bound, gray levels of 255", "distance left, R1"], `Distance to the guide that is left, by bound. ${said.join("; ")}. The table below has the numbers.`);
  svg.append(shape("line", { class: "grid", x1: sx(Math.min(...levels)), x2: sx(Math.max(...levels)), y1: sy(0.5), y2: sy(0.5) }));
  layers.forEach((layer, i) => {
    const line = cells().filter((cell) => cell.layer === layer && typeof cell.ratio.median === "number");
    if (!line.length) return;
    // Side by side, so that the bars of two layers do not lie on each other.
    const at = (cell) => sx(cell.gray_levels) + 5 * (i - (layers.length - 1) / 2);
    svg.append(shape("path", { ...lineOf(i), d: "M" + line.map((cell) => `${at(cell).toFixed(1)} ${sy(cell.ratio.median).toFixed(1)}`).join("L") }),
      ...line.map((cell) => shape("path", { class: `curve of-${i % 4}`, d: `M${at(cell)} ${sy(cell.ratio.low)}V${sy(cell.ratio.high)}`, "stroke-width": 1 })),
      ...line.map((cell) => shape("circle", { class: `dot of-${i % 4}`, cx: at(cell), cy: sy(cell.ratio.median), r: 3.5 })));
  });
  return svg;
}

/** Which line is which layer's, and what bars are. */
function ratioKey() {
  const key = (layer, i) => el("li", {}, el("span", { class: "chart key", "aria-hidden": "true" },
    shape("svg", { viewBox: "0 0 24 14", width: 24, height: 14 }, shape("path", { ...lineOf(i), d: "M1 7H23" }))), named(layer));
  return [el("ul", { class: "swatches" }, layersOf().map(key)),
    el("p", { class: "soft small" }, "Dots are medians over the pairs; bars reach over the middle half of them.")];
}

const marked = (share) => (share ? `${whole(share.share)} (${Math.round(100 * share.low)}\u2013${Math.round(100 * share.high)}%)` : null);

/** A table that may be wider than a narrow window, which it says there. */
const wideTable = (head, rows, label) => [table(head, rows, label), el("p", { class: "soft small wider" }, "The table goes on to the right: scroll it sideways.")];

function cellTable() {
  const head = ["Layer", "Bound", "Pairs", "R1, median", "Middle half", "Guide's label", "Source's label", "All 3 neighbors the guide's", "So before"];
  const rows = cells().map((cell) => [cell.layer, cell.delta, cell.pairs, ratioOf(cell.ratio.median), `${ratioOf(cell.ratio.low)}\u2013${ratioOf(cell.ratio.high)}`,
    marked(cell.label), marked(cell.source_label), marked(cell.neighbors), whole(cell.neighbors_before?.share)]);
  return wideTable(head, rows, "Imposters by layer and bound");
}

// What they look like ---------------------------------------------------------------------------------------

function quad(row) {
  // Drawn at once: paper and captures of a whole page show what nobody has scrolled to.
  const map = changeMap(row.source, row.image, true);
  map.redraw();
  const panel = (text, child) => el("figure", {}, el("figcaption", {}, text), framed(child));
  return el("li", {},
    el("div", { class: "quad" },
      panel("Source", picture(row.source, `source, ${row.name}, true '${row.true}'`)),
      panel("Guide", picture(row.guide, `guide, ${row.guide_name}, true '${row.guide_label}'`)),
      panel("Imposter", picture(row.image, `imposter, called '${row.called}'`)),
      panel("Change, amplified", map)),
    el("p", { class: "says" }, "true ", named(row.true, "b"), ", its guide ", named(row.guide_label, "b"), ", called ", named(row.called, "b")),
    el("p", { class: "more" }, `R1 ${ratioOf(row.ratio)}; ${typeof row.shared === "number" ? `${count(row.shared)} of 3 neighbors the guide's; ` : ""}${said(row.outcome)}; ${typeof row.linf === "number" ? `no pixel moved by more than ${levelsOf(row.linf)} of 255` : "change not measured"}`));
}

/** How much each unit says, in three bands: source, imposter, guide. */
function strip(entry) {
  const bands = ["source", "imposter", "guide"].map((name) => [...String(entry[name] ?? "")].map((digit) => parseInt(digit, 16) || 0));
  const width = Math.max(1, ...bands.map((band) => band.length));
  const apart = (a, b) => bands[a].reduce((sum, value, i) => sum + (value - (bands[b][i] ?? 0)) ** 2, 0);
  const nearer = apart(1, 2) < apart(1, 0) ? "the guide" : "the source";
  const canvas = el("canvas", { role: "img", class: "change pixel units", "aria-label": `${count(width)} units of ${entry.layer} in source, imposter and guide; the imposter's are nearer to those of ${nearer}` });
  canvas.width = width;
  canvas.height = 3;
  canvas.redraw = () => {
    const colors = palette();
    const brush = canvas.getContext("2d");
    const sheet = brush.createImageData(width, 3);
    bands.forEach((band, y) => band.forEach((value, x) => {
      const at = 3 * (Math.round(255 * (value / 15) ** 2) + 255);
      sheet.data.set([...colors.subarray(at, at + 3), 255], 4 * (y * width + x));
    }));
    brush.putImageData(sheet, 0, 0);
  };
  canvas.redraw();
  return el("li", {}, el("div", { class: "bands" }, el("div", { class: "soft small", "aria-hidden": "true" }, ["source", "imposter", "guide"].map((name) => el("span", {}, name))), canvas));
}

// Among natural images --------------------------------------------------------------------------------------

const STROKES = { "imposters": "curve", "natural images": "natural" };
const strokeOf = (name) => (Object.hasOwn(STROKES, name) ? STROKES[name] : "other");

function histogramChart(width, entry) {
  const { edges } = entry;
  const groups = listed(entry.groups);
  const share = (group, i) => group.counts[i] / (group.n || 1);
  const top = Math.max(0.01, ...groups.flatMap((group) => group.counts.map((_, i) => share(group, i))));
  const words = groups.map((group) => `${group.name} ${figure(group.median, 2)}`).join(", ");
  const { svg, sx, sy } = axes(width, 200, [edges[0], edges.at(-1)], [0, top], ["", entry.title], `${entry.title}. Medians: ${words}.`);
  for (const group of groups) {
    const kind = strokeOf(group.name);
    if (kind === "natural") {
      svg.append(...group.counts.map((_, i) => shape("rect", { class: "amount repairs", x: sx(edges[i]), y: sy(share(group, i)), width: Math.max(0, sx(edges[i + 1]) - sx(edges[i]) - 1), height: Math.max(0, sy(0) - sy(share(group, i))) })));
    } else {
      const steps = group.counts.map((_, i) => `H${sx(edges[i]).toFixed(1)}V${sy(share(group, i)).toFixed(1)}H${sx(edges[i + 1]).toFixed(1)}`).join("");
      svg.append(shape("path", { class: kind, d: `M${sx(edges[0])} ${sy(0)}${steps}V${sy(0)}` }));
    }
  }
  return svg;
}

function amongNatural(found) {
  if (!found) return null;
  const groups = [...new Set(listed(found.histograms).flatMap((entry) => listed(entry.groups).map((group) => group.name)))];
  const key = (name) => {
    const kind = strokeOf(name);
    const mark = kind === "natural" ? shape("rect", { class: "amount repairs", x: 1, y: 2, width: 22, height: 10 }) : shape("path", { class: kind, d: "M1 7H23" });
    return el("li", {}, el("span", { class: "chart key", "aria-hidden": "true" }, shape("svg", { viewBox: "0 0 24 14", width: 24, height: 14 }, mark)), named(name));
  };
  const rows = listed(found.histograms).flatMap((entry) => listed(entry.groups).map((group) => [entry.title, group.name, group.n, group.median]));
  return [
    el("h2", {}, "Among natural images"),
    el("p", { class: "soft" }, "Shares of each group by what the layer makes of them; the bars at both ends hold all that lies beyond. Where imposters lie as natural images do, no such number tells them apart."),
    el("ul", { class: "swatches" }, groups.map(key)),
    el("div", { class: "small-charts" }, listed(found.histograms).filter((entry) => listed(entry.edges).length > 1).map((entry) => fluid((width) => histogramChart(width, entry)))),
    el("details", {}, el("summary", {}, "Medians as a table"), table(["Measure", "Group", "Images", "Median"], rows, "Medians of each group")),
  ];
}

const GROUP_HEAD = ["Group", "Units active, %", "Less the source's", "Shared with the source", "Shared with the guide"];
function sparsity(rows) {
  if (!rows.length) return null;
  return [el("h2", {}, "Which units are active"),
    el("p", { class: "soft" }, "Medians over the pairs. A unit is active where it is not 0; shared are those active in both images, of those active in either: 1 says the same paths."),
    wideTable(GROUP_HEAD, rows.map((row) => [row.group, row.active, row.delta_active, row.overlap, row.overlap_guide]), "Active units by group")];
}

// Inverted, and shown to others -----------------------------------------------------------------------------

function inverted(panels) {
  if (!panels.length) return null;
  return [el("h2", {}, "What each layer still knows"),
    el("p", { class: "soft" }, "Images found from nothing but a layer's features. Early layers give back the image that one sees; where the imposter's features are the guide's, so is what is found.",
      panels[0].layer === undefined ? null : [" The imposters are those of ", named(panels[0].layer), ` at ${panels[0].delta}.`]),
    panels.map((panel) => el("div", { class: "inverted" }, el("h3", {}, named(panel.name)),
      el("div", { class: "quad" }, ["Layer", "Source", "Imposter", "Guide"].map((text) => el("p", { class: "soft small" }, text)),
        listed(panel.layers).flatMap((row) => [el("p", { class: "small" }, named(row.layer)),
          ...["source", "imposter", "guide"].map((name) => framed(picture(row[name], `found from ${row.layer} of the ${name}`)))]))))];
}

function shownToOthers(rows, cell) {
  if (!rows.length) return null;
  const itself = (row) => row.fingerprint !== undefined && row.fingerprint === DATA.fingerprints?.model;
  const beside = (row, name) => (row.made?.[name] ? [marked(row.made[name]), whole(row.noise?.[name]?.share)] : ["\u2013", "\u2013"]);
  return [el("h2", {}, "Shown to other models"),
    el("p", { class: "soft" }, "The imposters of ", named(where(cell)), ". Beside each share stands what random signs of the same size do to the same sources. Changed: named otherwise than that model names the source itself."),
    wideTable(["Model", "Sources right", "Changed", "by noise", "Guide's label", "by noise", "Guide in the top five", "by noise"],
      rows.map((row) => [[row.model, itself(row) ? " (itself)" : "", row.side ? `, at ${row.side} pixels` : ""].join(""), `${count(row.right)} of ${count(row.n)}`, ...beside(row, "changed"), ...beside(row, "guide"), ...beside(row, "top")]), "What other models say of the imposters")];
}

// The page --------------------------------------------------------------------------------------------------

function showCell(index) {
  likes.cell = index;
  if ($("imposters-which")) $("imposters-which").value = index;
  const found = DATA.imposters;
  const cell = cells()[index];
  const rows = inCell(found.rows);
  const bands = inCell(found.strips);
  $("imposters-cell").replaceChildren(...[
    rows.length ? [el("div", { class: "spread" }, legend(true),
      el("p", { class: "soft small" }, `Changes are orange where a pixel became brighter and blue where it became darker. Each picture is amplified until its largest change has full color: ${figure(255 / cell.gray_levels, 2)} times where that is the whole bound.`)),
    el("ul", { class: "quads" }, rows.map(quad))] : el("p", { class: "soft" }, "No pair of this layer and bound is pictured."),
    bands.length ? [el("h2", {}, "The layer's own view"),
      el("p", { class: "soft" }, `How much units of ${cell.layer} say, in the order of what they say in the guide less what they say in the source. The nearer R1 is to 0, the more an imposter's band is its guide's; the median of R1 is ${ratioOf(cell.ratio.median)} here.`),
      el("ul", { class: "strips" }, bands.map(strip))] : null,
    amongNatural(inCell(found.metrics)[0]),
    sparsity(inCell(found.sparsity)),
    shownToOthers(inCell(found.transfer), cell),
  ].flat(3).filter(Boolean));
}

function imposters() {
  const found = DATA.imposters;
  const many = cells().length > 1;
  const levels = new Set(cells().map((cell) => cell.gray_levels));
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence)),
    el("p", { class: "lead" }, "An imposter is an image of one class, its source, that was changed toward what a hidden layer makes of an image of another class, its guide; no pixel may move by more than a bound. R1 is the distance to the guide that is left, as a share of the source's own: 1 is the source, 0 the guide, 0.5 half way."),
    listed(found.notes).map((text) => el("p", { class: "lead" }, named(text))),
    levels.size > 1 ? [fluid(ratioChart), ratioKey()] : null,
    many ? el("h2", {}, "By layer and bound") : null,
    cellTable(),
    el("p", { class: "soft small lead" }, "Neighbors were looked for among natural images: ", named(listed(found.among).map((entry) => `${count(entry.images)} in ${entry.layer}`).join(", ")), "."),
    el("h2", {}, "What they look like"),
    many ? el("div", { class: "tools" }, el("label", {}, "Layer and bound",
      el("select", { id: "imposters-which", onchange: (event) => showCell(Number(event.target.value)) }, cells().map((cell, i) => el("option", { value: i }, where(cell)))))) : null,
    el("div", { id: "imposters-cell" }),
    inverted(listed(found.inversion)),
  ];
}
