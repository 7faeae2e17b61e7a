// Findings: what many mistakes have in common, how strong it is, what it looks like, and what it does not show.
"use strict";

const VERDICTS = { misuse: "Misused", use: "Used, no misuse detected", none: "Not shown to be used" };
const CITED = "Zoetmulder, Gavves and O'Connor (2018), Explaining the mistakes of neural networks with latent sympathetic examples";

const claims = () => listed(DATA.findings?.claims);
const tested = () => [...claims(), ...listed(DATA.findings?.tested)];
const findingOf = (id) => tested().find((finding) => finding.id === id);
const ofFinding = (finding) => DATA.cases.filter((item) => listed(item.findings).includes(finding.id));

// Names -----------------------------------------------------------------------------------------------------

const renamed = new Map();
const shelf = () => `amiss names ${DATA.fingerprints?.model ?? DATA.model} ${DATA.fingerprints?.data ?? DATA.data}`;

/** What the reader called findings of this model on these data before, where this browser keeps such things. */
function recall() {
  try {
    for (const [id, name] of Object.entries(JSON.parse(localStorage.getItem(shelf())) ?? {})) if (typeof name === "string") renamed.set(id, name);
  } catch { /* a browser that keeps nothing for files: names last until the page is closed */ }
}

function rename(finding, name) {
  if (name.trim()) renamed.set(finding.id, name.trim());
  else renamed.delete(finding.id);
  try { localStorage.setItem(shelf(), JSON.stringify(Object.fromEntries(renamed))); } catch { /* as above */ }
  for (const node of document.querySelectorAll("[data-finding]")) if (node.dataset.finding === finding.id) node.textContent = titleOf(finding);
  for (const node of document.querySelectorAll("[data-suggested]")) if (node.dataset.suggested === finding.id) node.hidden = !suggested(finding);
}

const titleOf = (finding) => renamed.get(finding.id) ?? finding.name ?? `From '${finding.predicted}' to '${finding.true}'`;
const suggested = (finding) => Boolean(finding.name) && finding.suggested !== false && !renamed.has(finding.id);
const title = (finding) => el("span", { class: "name", "data-finding": finding.id }, titleOf(finding));

/** The heading of a card, and a field that names it otherwise. */
function heading(finding, tag, id) {
  const mark = el("span", { class: "soft small", "data-suggested": finding.id }, " suggested name");
  mark.hidden = !suggested(finding);
  const field = el("input", { type: "text", id: id + "-name" });
  const form = el("p", { class: "row" }, el("label", { class: "soft small", for: id + "-name" }, "Name it yourself"), field,
    el("button", { type: "button", id: id + "-rename", onclick: () => { rename(finding, field.value); tell(`Named ${titleOf(finding)}`); } }, "Rename"));
  field.value = renamed.get(finding.id) ?? "";
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") $(id + "-rename").click(); });
  return [el(tag, { id, tabindex: "-1" }, title(finding), mark), form];
}

// What it does ----------------------------------------------------------------------------------------------

const interval = (share) => `${percent(share?.share)} (${percent(share?.low)} to ${percent(share?.high)}${typeof share?.n === "number" ? `, n = ${count(share.n)}` : ""})`;

/** One bar a row: right answers broken and mistakes repaired at each length, then beside what is known of the truth. */
function bars(finding) {
  const effects = listed(finding.effects);
  const rows = effects.flatMap((effect, i) => [
    { head: i === effects.length - 1 ? `At its natural length, ${figure(effect.length)}` : `At length ${figure(effect.length)}` },
    { text: "breaks right answers", kind: "breaks", share: effect.breaks, control: effect.control },
    { text: "repairs mistakes", kind: "repairs", share: effect.repairs },
  ]);
  const { measured, seen, truth } = finding;
  if (measured) rows.push({ head: `Until it reads like real images of the other half, ${figure(measured.length)}` }, { text: "breaks right answers further along it", kind: "breaks", share: measured.breaks }, { text: "repairs mistakes less far along it", kind: "repairs", share: measured.repairs });
  if (measured && truth) rows.push({ head: `The same images in truth: ${truth.what}` }, { text: "breaks right answers further along it", kind: "truth", share: truth.breaks }, { text: "repairs mistakes less far along it", kind: "truth", share: truth.repairs });
  if (typeof seen?.share === "number") rows.push({ head: "What real images of the other half suggest" }, { text: "more of them are wrong", kind: "truth", share: seen });
  return rows;
}

function effectChart(width, finding) {
  const rows = bars(finding).map((row) => ({ ...row, lines: folded(row.head ?? `${row.text}: ${interval(row.share)}`, width) }));
  const tall = (row) => (row.head ? 19 : 27) + 15 * row.lines.length;
  const height = rows.reduce((sum, row) => sum + tall(row), 30);
  const x = (share) => 1 + Math.min(1, Math.max(0, share ?? 0)) * (width - 16);
  const words = rows.map((row) => row.head ?? `${row.text} ${interval(row.share)}`).join("; ");
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Effects. ${words}. The table below has the numbers.` });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: 4, y2: height - 22 }),
      shape("text", { x: x(tick), y: height - 6, "text-anchor": tick === 0 ? "start" : tick === 1 ? "end" : "middle" }, percent(tick)));
  }
  let top = 0;
  for (const row of rows) {
    svg.append(...row.lines.map((line, i) => shape("text", { class: row.head ? "strong" : "", x: 0, y: top + (row.head ? 26 : 16) + 15 * i }, line)));
    top += tall(row);
    if (!row.head) {
      const [low, high, middle] = [x(row.share?.low), x(row.share?.high), top - 13];
      const whisker = `M${low} ${middle}H${high}M${low} ${middle - 5}v10M${high} ${middle - 5}v10`;
      svg.append(shape("rect", { class: "amount " + row.kind, x: x(0), y: middle - 7, width: Math.max(1, x(row.share?.share) - x(0)), height: 14 }),
        shape("path", { class: "halo", d: whisker }), shape("path", { class: "whisker", d: whisker }));
      if (typeof row.control?.mean === "number") {
        const [mean, most] = [x(row.control.mean), x(row.control.most)];
        svg.append(shape("path", { class: "halo", d: `M${most} ${middle - 10}v20` }), shape("path", { class: "most", d: `M${most} ${middle - 10}v20` }),
          shape("path", { class: "control", d: `M${mean - 6} ${middle}l6-6 6 6-6 6Z` }));
      }
    }
  }
  return svg;
}

const clipped = (text, width) => (text.length * 6.4 > width ? text.slice(0, Math.floor(width / 6.4) - 1) + "\u2026" : text);

/** The words in as many lines as they need at this width, three at most. */
function folded(text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = `${lines.at(-1)} ${word}`.trim();
    if (clipped(line, width) === line) lines[lines.length - 1] = line;
    else lines.push(clipped(word, width));
  }
  return lines.filter(Boolean).slice(0, 3);
}

function effects(finding) {
  const list = listed(finding.effects);
  if (!list.length) return null;
  const shares = (share) => [percent(share?.share), `${percent(share?.low)} to ${percent(share?.high)}`, share?.n ?? null];
  let at = "";
  const rows = bars(finding).flatMap((row) => {
    if (row.head) at = row.head;
    if (row.head) return [];
    const line = [[at, row.text, ...shares(row.share)]];
    return row.control ? [...line, [at, "other directions break", percent(row.control.mean), `at most ${percent(row.control.most)}`, row.control.n]] : line;
  });
  const last = list.at(-1).control;
  return [
    el("h3", {}, "What it does to images that had no part in finding it"),
    el("p", { class: "soft small" }, "Bars with their 95 % intervals. ",
      last ? `Diamond: what ${count(last.n)} directions between real images break on average, at the same length (${percent(last.mean)} at the natural one); thin line: the most that one of them breaks (${percent(last.most)}). ` : null,
      finding.measured && finding.truth ? ["Beside the last bars stands the truth: the same images drawn anew, ", named(finding.truth.what), "."] : null),
    fluid((width) => effectChart(width, finding)),
    el("details", {}, el("summary", {}, "The same as a table"), table(["Moved", "Effect", "Share", "Interval", "Images"], rows, "Effects of the direction")),
  ];
}

/** Gate (i) in words: what the classifier follows and the truth does not. */
function gate(finding) {
  if (typeof finding.wald !== "number") return null;
  const held = finding.wald <= finding.wald_bar;
  return [
    el("h3", {}, "Is it misuse?"),
    el("p", {}, "Among images that the classifier scores alike, those further along this direction are ", held ? "less" : "not clearly less", " often ", named(finding.true),
      ` (Wald z ${figure(finding.wald)}; a claim needs ${figure(finding.wald_bar)} or lower). The position along it tells the classifier's answer with AUC ${figure(finding.auc_prediction, 2)}, and the true label with AUC ${figure(finding.auc_truth, 2)}.`),
    typeof finding.cross_check === "number" ? el("p", {}, `Cross-check without any repair: a ridge fit of the score on the codes gives a direction with cosine ${figure(finding.cross_check, 2)} to this one.`) : null,
  ];
}

// What it looks like ----------------------------------------------------------------------------------------

/** A chosen example, walked along the direction in both senses. */
function walker(finding, id) {
  const strips = listed(finding.strips).filter((strip) => listed(strip.frames).length);
  if (!strips.length) return null;
  let strip, here, map;
  const stage = el("div", { class: "stage" });
  const line = el("output", { class: "name", for: id + "-walk" });
  const reel = el("ul", { class: "reel", "aria-hidden": "true" });
  const slider = el("input", { type: "range", id: id + "-walk", min: 0, step: 1, "aria-label": "Position along the direction", oninput: (event) => go(Number(event.target.value)) });
  const words = () => {
    const margin = strip.margins?.[here];
    return `${far(strip.positions[here])}: called '${strip.labels[here]}'${typeof margin === "number" ? `, margin ${figure(margin)}` : ""}`;
  };
  const face = () => picture(strip.frames[here], `${strip.name} moved along the direction, ${words()}`);
  const after = framed("");
  function go(index) {
    here = index;
    after.replaceChildren(face());
    line.textContent = words();
    slider.setAttribute("aria-valuetext", words());
    map.redraw();
    [...reel.children].forEach((child, i) => child.classList.toggle("here", i === here));
  }
  function show(index) {
    strip = strips[index];
    here = strip.frames.length - 1;
    map = mapCanvas(strip.image, (canvas) => drawChange(canvas, strip.image, strip.frames[here], Boolean(filters.stretch)));
    const panel = (text, child) => el("figure", {}, el("figcaption", {}, text), child);
    stage.replaceChildren(panel("Original", framed(picture(strip.image, `original, true '${strip.true}', predicted '${strip.predicted}'`))), panel("Change", framed(map)), panel("Moved", after));
    reel.replaceChildren(...strip.frames.map((frame) => el("li", {}, framed(picture(frame, "")))));
    slider.max = strip.frames.length - 1;
    slider.value = here;
    go(here);
  }
  const choice = el("select", { id: id + "-example", onchange: (event) => show(Number(event.target.value)) },
    strips.map((entry, i) => el("option", { value: i }, `${entry.name}, true ${entry.true}, said ${entry.predicted}`)));
  show(0);
  return [el("h3", {}, "Walk along it"), el("div", { class: "tools" }, el("label", {}, "Example", choice)), stage,
    el("div", { class: "spread" }, el("span"), legend()), el("div", { class: "walk" }, line, slider, reel)];
}

const far = (position) => (position === 0 ? "As it is" : `${figure(Math.abs(position), 2)} natural length${Math.abs(position) === 1 ? "" : "s"} ${position > 0 ? "forward" : "back"}`);

function extremes(finding) {
  const row = (list, text) => (listed(list).length ? el("div", {}, el("p", { class: "soft small" }, text),
    el("ul", { class: "reel" }, listed(list).map((entry) => el("li", {}, framed(picture(entry.image, `${entry.name}, true '${entry.true}', predicted '${entry.predicted}'`)))))) : null);
  const rows = [row(finding.top, "Furthest along it"), row(finding.bottom, "Furthest the other way")].filter(Boolean);
  return rows.length ? [el("h3", {}, "Real images at its ends"), el("div", { class: "ends-of" }, rows)] : null;
}

function meanChange(finding) {
  const mean = finding.mean_change;
  if (!mean) return null;
  return [el("h3", {}, "Mean change"), el("p", { class: "soft small" }, "What one natural length does to the pixels of an image, averaged."),
    el("div", { class: "stage one" }, el("figure", { class: "mean" }, framed(keptChange(mean.image, mean.largest)), legend()))];
}

function namesTable(finding) {
  const rows = listed(finding.names).map((entry) => [entry.name, ...[entry.difference, entry.cosine].map((value) => (typeof value === "number" ? Math.round(100 * value) / 100 : null))]);
  if (!rows.length) return null;
  return [el("h3", {}, "Which attribute it may be"),
    el("p", { class: "soft small" }, "Difference between the real images at both ends, in standard deviations, and cosine with the attribute's own direction. A name is suggested where both agree; it is a hypothesis about a direction of the decoder."),
    table(["Attribute", "Difference", "Cosine"], rows, "Attributes that differ along the direction")];
}

const limits = () => (listed(DATA.findings?.limits).length ? [el("h3", {}, "What this does not show"), el("ul", { class: "limits" }, listed(DATA.findings.limits).map((text) => el("li", {}, prose(text))))] : null);

// What the reader takes along -------------------------------------------------------------------------------

/** A cell that no spreadsheet runs. */
const cellOf = (value) => {
  const text = String(value ?? "").split(/([;\t\r\n])/).map((part) => (/^[\s\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(part) && !/^-?[\d.e-]+$/.test(part) ? "'" + part : part)).join("");
  return `"${text.replaceAll('"', '""')}"`;
};

function exportIds(finding) {
  const head = ["id", "name", "true", "predicted", "position", "finding", "finding_name"];
  const rows = listed(finding.cases).map((entry) => [entry.id, entry.name, finding.true, finding.predicted, entry.position, finding.id, titleOf(finding)]);
  const place = URL.createObjectURL(new Blob([[head, ...rows].map((row) => row.map(cellOf).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
  const link = el("a", { href: place });
  link.download = `${String(finding.id).replace(/[^\w-]/g, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(place), 1000);
  tell(`${count(rows.length)} ids written`);
}

function citation(finding) {
  return `${titleOf(finding)}: ${finding.says ?? ""} Found by amiss ${DATA.versions?.amiss ?? ""} in ${DATA.model ?? "a model"} on ${DATA.data ?? "its data"}`
    + ` (data ${String(DATA.fingerprints?.data ?? "not recorded").slice(0, 12)}, seed ${DATA.seed ?? "not recorded"}, ${String(DATA.created ?? "").slice(0, 10)}). Method: ${CITED}.`;
}

/** Where the clipboard is closed, the text stands on the page to be copied by hand. */
async function copyCitation(finding, place) {
  const text = citation(finding);
  place.textContent = text;
  place.hidden = false;
  getSelection().selectAllChildren(place);
  try {
    await navigator.clipboard.writeText(text);
    tell("Citation copied");
  } catch { tell("Citation shown and selected"); }
}

// The page --------------------------------------------------------------------------------------------------

function findingCard(finding, place, tag = "h2") {
  const id = "finding-" + place;
  const words = el("pre", { tabindex: "0" });
  words.hidden = true;
  const here = ofFinding(finding).length;
  const button = (text, act) => el("button", { type: "button", onclick: act }, text);
  return el("article", { class: "finding", "aria-labelledby": id },
    heading(finding, tag, id),
    el("p", { class: "verdict" }, el("b", {}, Object.hasOwn(VERDICTS, finding.verdict) ? VERDICTS[finding.verdict] : named(finding.verdict)), ". ", named(finding.says ?? "")),
    el("p", { class: "soft small" }, `${count(finding.mistakes)} images are `, named(finding.true), " and called ", named(finding.predicted), `; tested on ${count(finding.tested)} images. `,
      here ? el("a", { href: "#/cases?" + new URLSearchParams({ finding: finding.id }) }, `${count(here)} of them among the cases of this page`) : null),
    effects(finding), gate(finding), walker(finding, id), meanChange(finding), extremes(finding), namesTable(finding), limits(),
    el("p", { class: "row actions" }, listed(finding.cases).length ? button("Export ids as CSV", () => exportIds(finding)) : null, button("Copy citation", () => copyCitation(finding, words))),
    words);
}

function findings() {
  const found = DATA.findings;
  const others = listed(found.tested);
  const few = listed(found.too_few);
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence ?? "What many mistakes have in common")),
    el("p", { class: "lead" }, `Looked for in ${count(found.discover)} images, tested on ${count(found.test)} others. A finding is claimed where the truth follows a direction less than the classifier does, and moving images along it changes answers more than any other difference between two real images of one class does.`),
    claims().map((finding, i) => findingCard(finding, i)),
    claims().length ? null : el("div", { class: "finding none" }, el("h2", {}, "No finding"), el("p", {}, others.length || few.length ? "Nothing that was tested passed both gates." : "There was nothing to test."), limits()),
    others.length ? el("details", { class: "paper", id: "tested" }, el("summary", {}, `Tested, not claimed: ${count(others.length)}`), others.map((finding, i) => findingCard(finding, claims().length + i, "h2"))) : null,
    few.length ? [el("h2", {}, "Too few mistakes to say anything"), el("p", { class: "soft" }, `A kind of mistake is looked into from ${count(found.needed)} mistakes on; fewer say too little.`),
      table(["True class", "Said", "Mistakes"], few.map((entry) => [entry.true, entry.predicted, entry.mistakes]), "Kinds of mistakes that are too few")] : null,
  ];
}

/** On the overview: each claim in its sentence, with the way to it. */
function foundFirst() {
  if (!DATA.findings) return null;
  return [el("h2", {}, "What the mistakes have in common"),
    claims().length ? el("ul", { class: "limits" }, claims().map((finding, i) => el("li", {}, el("a", { href: "#/findings/" + i }, title(finding)), ". ", named(finding.says ?? ""))))
      : el("p", {}, named(DATA.findings.sentence ?? "No finding."), " ", el("a", { href: "#/findings" }, "What that does not show"))];
}
