// A defense: what each of its networks cost to fool, and what fools it now.
"use strict";

const shortly = (value) => (value >= 1e6 ? `${figure(value / 1e6)}M` : value >= 1e3 ? `${figure(value / 1e3)}k` : figure(value));
const COSTS = [["median", "", "median class"], ["all", "7 4", "all classes"]];

/** Evaluations to fool each network, by round; hollow where it held out for all of them. */
function costChart(width) {
  const found = listed(DATA.defense.curve);
  const spent = found.flatMap((row) => COSTS.map(([name]) => Math.max(1, row[name])));
  const [low, high] = [Math.log10(Math.min(...spent)) - 0.08, Math.log10(Math.max(...spent)) + 0.08];
  const steps = Array.from({ length: 30 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));
  const rows = steps.map((value) => [Math.log10(value), shortly(value)]).filter(([value]) => value >= low && value <= high);
  const marks = found.map((row) => [row.round, count(row.round)]);
  const said = found.map((row) => `round ${row.round}: ${row.median_held ? "more than " : ""}${count(row.median)}`).join("; ");
  const { svg, sx, sy } = axes(width, 300, [0, Math.max(1, found.length - 1)], [low, high], ["round", "evaluations"],
    `Evaluations until the median class was fooled. ${said}. The table below has the numbers.`, marks, rows.length ? rows : [[high - 0.08, shortly(Math.max(...spent))]]);
  for (const [name, dash] of COSTS) {
    const at = (row) => [sx(row.round), sy(Math.log10(Math.max(1, row[name])))];
    svg.append(shape("path", { class: "curve", "stroke-dasharray": dash, d: "M" + found.map((row) => at(row).map((v) => v.toFixed(1)).join(" ")).join("L") }));
    for (const row of found) {
      const [x, y] = at(row);
      svg.append(shape("circle", { class: row[`${name}_held`] ? "here" : "dot", cx: x, cy: y, r: 4.5 }));
    }
  }
  return svg;
}

function costKey() {
  const drawn = (...children) => el("span", { class: "chart key", "aria-hidden": "true" }, shape("svg", { viewBox: "0 0 24 14", width: 24, height: 14 }, ...children));
  return el("ul", { class: "swatches" },
    COSTS.map(([, dash, text]) => el("li", {}, drawn(shape("path", { class: "curve", "stroke-dasharray": dash, d: "M1 7H23" })), text)),
    el("li", {}, drawn(shape("circle", { class: "here", cx: 12, cy: 7, r: 4.5 })), "it held out: the whole budget"));
}

function network(one) {
  const bar = DATA.defense.bar;
  return [el("h3", {}, one.round ? `Against the network of round ${one.round}` : "Against the network as it was given"),
    el("ul", { class: "wall champions" }, listed(one.champions).map((entry) => el("li", { class: entry.confidence >= bar ? null : "below" },
      framed(picture(entry.image, `champion of '${entry.class}', confidence ${percent(entry.confidence)}${entry.confidence >= bar ? "" : ", below the bar"}`)),
      el("p", { class: "says" }, named(entry.class, "b"), el("br"), percent(entry.confidence)))))];
}

function defense() {
  const found = DATA.defense;
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence)),
    ...(found.curve ? rounds(found) : hardened(found)),
    el("h2", {}, "Limits"),
    el("ul", { class: "limits" }, listed(found.limits).map((text) => el("li", {}, named(text)))),
  ];
}

/** A network before and after, under the same attacks; and two detectors, where there is one beside it. */
function hardened(found) {
  return [
    el("h2", {}, "Before and after"),
    wideTable(listed(found.head), listed(found.rows), "Before and after under the same attacks"),
    listed(found.text).map((text) => el("p", { class: "lead" }, named(text))),
    found.detectors ? [el("h2", {}, "What the detectors tell"),
      wideTable(listed(found.detectors.head), listed(found.detectors.rows), "Detectors"),
      el("p", { class: "lead" }, "Attacks of type I know the network alone, and neither detector was fitted on them. Type II is the smallest change that fools the network and passes the detector as well.")] : null,
  ];
}

/** Retraining with rubbish: its rounds, and what fools each of its networks. */
function rounds(found) {
  return [
    el("h2", {}, "What fooling each network took"),
    fluid(costChart), costKey(),
    wideTable(listed(found.head), listed(found.rows), "The rounds"),
    el("p", { class: "soft small lead" }, "Round 0 is the network as it was given."),
    el("h2", {}, "What recall is of"),
    listed(found.recall.text).map((text) => el("p", { class: "lead" }, named(text))),
    wideTable(listed(found.recall.head), listed(found.recall.rows), "Recall by round"),
    el("h2", {}, "What fools them"),
    el("p", { class: "soft" }, `Champions of one long evolution against each network, of the same classes each time, with its confidence in them. Those below the bar of ${percent(found.bar)} have a dashed frame.`),
    listed(found.networks).map(network),
  ];
}
