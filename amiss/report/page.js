// The page: sections from the record, routes in the hash, and keys.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
// What a row of pictures shows: repairs as a rule, and of other searches what the record says.
const ROW = DATA.cases_note ?? "Each row: the original, the change, and the repaired image.";
const DONE = DATA.cases_word ?? "Repaired";
const SECTIONS = [
  ["overview", "Overview", () => null],
  ["findings", "Findings", () => (DATA.findings ? null : "what the mistakes have in common was not looked for in this run")],
  ["cases", "Cases", () => (DATA.cases.length ? null : "no case was recorded")],
  ["atlas", "Atlas", () => (sheets().length ? null : "no map of codes was drawn in this run")],
  ["robustness", "Robustness", () => (DATA.robustness ? null : "no curve was measured in this run")],
  ["fooled", "Fooled", () => (DATA.fooled.length ? null : DATA.nonsense ? "the images are under Nonsense" : "no fooling image was searched for, or none was kept")],
  ["nonsense", "Nonsense", () => (DATA.nonsense ? null : "nothing was evolved in this run")],
  ["imposters", "Imposters", () => (DATA.imposters ? null : "no imposter was searched for in this run")],
  ["attacks", "Attacks", () => (DATA.attacks ? null : "the recipes of label attacks were not run side by side")],
  ["camera", "Camera", () => (DATA.camera ? null : "nothing was photographed in this run")],
  ["defense", "Defense", () => (DATA.defense ? null : "nothing was retrained in this run")],
  ["methods", "Methods", () => null],
];
const SAID = {
  "met": "goal met", "exhausted": "budget spent", "stuck": "stuck in a local minimum", "unreachable": "none found on the stated grid",
  "no-gradient": "no gradient", "not-finite": "not a finite number", "already-met": "met from the start",
  "out-of-memory": "out of memory", "unreadable": "unreadable", "interrupted": "interrupted",
};
const said = (outcome) => SAID[outcome] || String(outcome ?? "not run");
const filters = { true: "", predicted: "", outcome: "", finding: "", method: "", sort: "", stretch: "" };
const $ = (id) => document.getElementById(id);

// Triptychs -------------------------------------------------------------------------------------------------

const original = (item) => picture(item.original, `original, true '${item.true}'${item.predicted ? `, predicted '${item.predicted}'` : ""}`);
const repaired = (item, repair, index = repair.image, label = null) =>
  picture(index, `${repair.method}, ${said(repair.outcome)}${label !== null ? `, called '${label}'` : repair.outcome === "met" && item.repaired_as ? `, predicted '${item.repaired_as}'` : ""}`);

function triptych(item, repair, stretch) {
  return el("div", { class: "triptych" }, framed(original(item)),
    repair ? [framed(changeMap(item.original, repair.image, stretch)), framed(repaired(item, repair))]
      : [framed("not tried", "none"), framed("not tried", "none")]);
}

const best = (item) => item.repairs.find((repair) => repair.outcome === "met") || item.repairs[0];
const outcomeOf = (item) => (filters.method ? item.repairs.find((repair) => repair.method === filters.method)?.outcome : item.outcome);
const shown = (item) => (filters.method ? item.repairs.find((repair) => repair.method === filters.method) : best(item));
const sizeOf = (item) => shown(item)?.l2 ?? Infinity;

function verdict(repair) {
  if (!repair) return "not tried";
  const size = typeof repair.l2 === "number" ? `, L2 ${figure(repair.l2)}` : "";
  return `${repair.method}: ${said(repair.outcome)}${size}${repair.outcome === "met" ? (repair.verified ? ", held from disk" : ", not verified from disk") : ""}`;
}

function card(item, stretch = false) {
  const repair = shown(item);
  return el("li", {}, el("a", { class: "card", href: "#/case/" + DATA.cases.indexOf(item) }, triptych(item, repair, stretch),
    el("p", { class: "says" }, "true ", named(item.true, "b"), item.predicted ? [", said ", named(item.predicted, "b")] : null,
      repair?.outcome === "met" && item.repaired_as ? [", now ", named(item.repaired_as, "b")] : null),
    el("p", { class: "more" }, named(item.name), el("br"), named(verdict(repair)))));
}

// Overview --------------------------------------------------------------------------------------------------

/** Up to six repaired cases, no two of the same confusion while others are left. */
function exemplars() {
  const good = DATA.cases.filter((item) => item.repairs.some((repair) => repair.outcome === "met" && repair.verified));
  const seen = new Map();
  const rank = good.map((item) => {
    const pair = JSON.stringify([item.true, item.predicted]);
    seen.set(pair, (seen.get(pair) || 0) + 1);
    return [seen.get(pair), item];
  });
  return rank.sort((a, b) => a[0] - b[0]).slice(0, 6).map((entry) => entry[1]);
}

function outcomes() {
  return el("div", { class: "outcomes" }, Object.entries(DATA.outcomes || {}).map(([method, tally]) => {
    const entries = Object.entries(tally).filter((entry) => entry[1] > 0);
    const total = entries.reduce((sum, entry) => sum + entry[1], 0);
    const link = (name) => DATA.cases.some((item) => item.repairs.some((repair) => repair.method === method && repair.outcome === name));
    return el("div", {}, el("h3", {}, named(method)),
      el("div", { class: "bar", "aria-hidden": "true" }, entries.map(([name, n]) => {
        const piece = el("i", { class: name === "met" ? "met" : null });
        piece.style.flexGrow = n;
        return piece;
      })),
      el("ul", {}, entries.map(([name, n]) => {
        const text = [el("b", {}, count(n)), " " + said(name)];
        return el("li", {}, link(name) ? el("a", { href: "#/cases?" + new URLSearchParams({ method, outcome: name }) }, text) : text);
      }), el("li", { class: "soft" }, `${count(total)} in all`)));
  }));
}

function overview() {
  const counts = DATA.counts || {};
  const some = exemplars();
  const missing = SECTIONS.map(([, title, why]) => why() && `${title}: ${why()}.`).filter(Boolean);
  return [
    el("h1", { tabindex: "-1" }, named(DATA.sentence)),
    el("p", { class: "lead" }, DATA.model ? [named(DATA.model), " on ", named(DATA.data), ". "] : null,
      counts.right === undefined ? null : `${count(counts.images)} images: ${count(counts.right)} right, ${count(counts.wrong)} wrong, ${count(counts.unreadable)} unreadable.`,
      DATA.verified ? ` Of ${count(DATA.verified.claimed)} ${DATA.claims ?? "successes"} that the searches claimed, ${count(DATA.verified.held)} held when judged again from the bytes on disk; no other is counted.` : null),
    el("dl", { class: "tiles" }, (DATA.tiles || []).map((tile) => el("div", { class: "tile" },
      el("dt", {}, named(tile.label)), el("dd", { class: "value" }, named(tile.value)), el("dd", { class: "note" }, named(tile.note ?? ""))))),
    trust(),
    foundFirst(),
    (DATA.notices || []).length ? el("div", { class: "notices" }, DATA.notices.map((notice) => el("div", { class: "notice " + (notice.level === "warning" ? "warning" : "info") },
      el("p", { class: "level" }, notice.level === "warning" ? "Warning" : "Note"), el("h3", {}, named(notice.title)), el("p", {}, named(notice.text))))) : null,
    DATA.cases.length ? [
      el("h2", {}, some.length ? named(DATA.cases_title ?? "What would have made them right") : "What was tried"),
      some.length ? null : el("p", { class: "soft" }, DATA.verified ? "No success shown here held when read back from disk." : "Nothing shown here was read back from disk."),
      el("div", { class: "spread" }, el("p", { class: "soft small" }, ROW), legend()),
      el("ul", { class: "gallery" }, (some.length ? some : DATA.cases.slice(0, 6)).map((item) => card(item))),
      el("p", { class: "lead" }, el("a", { href: "#/cases" }, `See all ${count(DATA.cases.length)} cases`)),
    ] : null,
    (DATA.table || []).length ? [el("h2", {}, named(DATA.table_title ?? "Errors by group")), table(DATA.table_head || DATA.table[0].map(() => ""), DATA.table, DATA.table_title ?? "Errors by group"),
      DATA.table_note ? el("p", { class: "soft small lead" }, named(DATA.table_note)) : null] : null,
    Object.keys(DATA.outcomes || {}).length ? [el("h2", {}, "How every search ended"), outcomes()] : null,
    missing.length ? [el("h2", {}, "Not in this report"), missing.map((line) => el("p", { class: "soft" }, line))] : null,
  ];
}

// Cases -----------------------------------------------------------------------------------------------------

const SORTS = {
  "": ["as found", null],
  small: ["smallest change", (a, b) => sizeOf(a) - sizeOf(b)],
  large: ["largest change", (a, b) => (sizeOf(b) === Infinity ? -1 : sizeOf(b)) - (sizeOf(a) === Infinity ? -1 : sizeOf(a))],
  name: ["name", (a, b) => String(a.name).localeCompare(String(b.name), "en", { numeric: true })],
};

function chosen() {
  const fits = (item) => (!filters.true || String(item.true) === filters.true) && (!filters.predicted || String(item.predicted) === filters.predicted) && (!filters.outcome || outcomeOf(item) === filters.outcome) && (!filters.finding || listed(item.findings).includes(filters.finding));
  const list = DATA.cases.filter(fits);
  const order = (SORTS[filters.sort] || SORTS[""])[1];
  return order ? list.sort((a, b) => order(a, b) || 0) : list;
}

const hash = () => {
  const query = new URLSearchParams(Object.entries(filters).filter((entry) => entry[1])).toString();
  return "#/cases" + (query ? "?" + query : "");
};

function setFilter(name, value) {
  filters[name] = value;
  history.replaceState(null, "", hash());
  gallery();
  tell(`${chosen().length} cases`);
}

/** The switch from the one scale of all maps to a scale of each map's own. */
function stretcher(id, then) {
  const box = el("input", { type: "checkbox", id, onchange: () => { filters.stretch = box.checked ? "1" : ""; then(); $(id).focus(); } });
  box.checked = Boolean(filters.stretch);
  return el("label", { class: "check" }, box, "Stretch each change to its own range");
}

function select(name, title, options) {
  const box = el("select", { id: "filter-" + name, onchange: (event) => setFilter(name, event.target.value) },
    options.map(([value, text]) => el("option", { value }, text)));
  return el("label", {}, title, box);
}

function cases() {
  const values = (read) => [...new Set(DATA.cases.flatMap(read).filter((value) => value !== null && value !== undefined).map(String))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const any = (list, word = "any") => [["", word], ...list.map((value) => [value, value])];
  const marked = tested().filter((finding) => ofFinding(finding).length);
  const kinds = values((item) => [item.outcome, ...item.repairs.map((repair) => repair.outcome)]);
  return [
    el("h1", { tabindex: "-1" }, "Cases"),
    el("p", { class: "lead" }, `${ROW} Open one to walk its search step by step.`),
    el("div", { class: "tools", role: "search", "aria-label": "Filter cases" },
      select("true", "True class", any(values((item) => [item.true]))),
      select("predicted", "Predicted class", any(values((item) => [item.predicted]))),
      select("outcome", "Outcome", [["", "any"], ...kinds.map((kind) => [kind, said(kind)])]),
      marked.length ? select("finding", "Finding", [["", "any"], ...marked.map((finding) => [finding.id, titleOf(finding)])]) : null,
      select("method", "Method", any(values((item) => item.repairs.map((repair) => repair.method)), "best of all")),
      select("sort", "Order", Object.entries(SORTS).map(([value, [text]]) => [value, text])),
      stretcher("filter-stretch", () => setFilter("stretch", filters.stretch))),
    el("div", { class: "spread" }, el("p", { id: "tally", class: "small" }), el("div", { id: "scale" })),
    el("ul", { class: "gallery", id: "gallery" }),
    el("p", { class: "lead small keys" }, el("kbd", {}, "j"), " next  ", el("kbd", {}, "k"), " previous  ", el("kbd", {}, "Enter"), " open"),
  ];
}

function gallery() {
  const list = chosen();
  for (const name of ["true", "predicted", "outcome", "finding", "method", "sort"]) if ($("filter-" + name)) $("filter-" + name).value = filters[name];
  $("filter-stretch").checked = Boolean(filters.stretch);
  $("scale").replaceChildren(legend(Boolean(filters.stretch)));
  $("tally").textContent = list.length ? `${count(list.length)} of ${count(DATA.cases.length)} cases` : "No case fits these filters.";
  $("gallery").replaceChildren(...list.map((item) => card(item, Boolean(filters.stretch))));
}

// Robustness, fooled, methods -------------------------------------------------------------------------------

function robustness() {
  const { epsilons, accuracy, low, high, n, unit, method, names } = DATA.robustness;
  const band = Array.isArray(low) && Array.isArray(high);
  const draw = (width) => {
    const { svg, sx, sy } = axes(width, 300, [Math.min(...epsilons), Math.max(...epsilons)], [0, 1], [`epsilon, ${unit ?? ""}`, "accuracy"], `Accuracy falls from ${percent(accuracy[0])} to ${percent(accuracy.at(-1))}; the table below has the numbers.`,
      names ? epsilons.map((epsilon, i) => [epsilon, String(names[i])]) : null);
    const line = (values, order) => order.map((i) => `${sx(epsilons[i]).toFixed(1)} ${sy(values[i]).toFixed(1)}`).join("L");
    const order = epsilons.map((_, i) => i);
    if (band) svg.append(shape("path", { class: "band", d: `M${line(high, order)}L${line(low, [...order].reverse())}Z` }));
    svg.append(shape("path", { class: "curve", d: "M" + line(accuracy, order) }), ...order.map((i) => shape("circle", { class: "dot", cx: sx(epsilons[i]), cy: sy(accuracy[i]), r: 3.5 })));
    return svg;
  };
  const rows = epsilons.map((epsilon, i) => [names?.[i] ?? epsilon, percent(accuracy[i]), ...(band ? [`${percent(low[i])} to ${percent(high[i])}`] : [])]);
  return [
    el("h1", { tabindex: "-1" }, "How little breaks a right answer"),
    el("p", { class: "lead" }, named(method), `. ${count(n)} images at each epsilon.${band ? " The band is the interval of the share." : ""} An attack finds an upper bound: a stronger one could only lower this curve.`),
    fluid(draw),
    el("h2", {}, "The same as a table"),
    table(["Epsilon", "Accuracy", ...(band ? ["Interval"] : [])], rows, "Accuracy at each epsilon"),
  ];
}

function fooled() {
  // Without a bar (null) a cell is judged by its search's own goal alone.
  const bar = DATA.fooled_bar === undefined ? 0.99 : DATA.fooled_bar;
  const passes = (entry) => (bar === null || entry.confidence >= bar) && entry.verified;
  const passed = DATA.fooled.filter(passes).length;
  return [
    el("h1", { tabindex: "-1" }, "Nonsense it is certain about"),
    el("p", { class: "lead" }, bar === null ? `${count(passed)} of ${count(DATA.fooled.length)} searches reached their goal. The others have a dashed frame.`
      : `${count(passed)} of ${count(DATA.fooled.length)} classes have an image that the model calls by that name with at least ${percent(bar)} confidence, judged again from disk. Those below that bar have a dashed frame.`),
    DATA.fooled_note ? el("p", { class: "lead" }, named(DATA.fooled_note)) : null,
    el("ul", { class: "wall" }, DATA.fooled.map((entry) => el("li", { class: passes(entry) ? null : "below" },
      framed(picture(entry.image, `fooling image, called '${entry.class}' with confidence ${percent(entry.confidence)}`)),
      el("p", { class: "says" }, named(entry.class, "b"), el("br"), percent(entry.confidence),
        passes(entry) ? null : el("span", { class: "soft" }, bar === null ? ", goal not met" : entry.confidence >= bar ? ", not held" : ", below the bar"),
        typeof entry.steps === "number" ? el("span", { class: "soft" }, el("br"), `${count(entry.steps)} steps`) : null)))),
    DATA.fooled_table ? tabled(DATA.fooled_table) : null,
  ];
}

function pairs(record) {
  return el("dl", { class: "numbers" }, Object.entries(record || {}).flatMap(([key, value]) => [el("dt", {}, named(key)), el("dd", {}, el("code", { class: "name" }, typeof value === "string" ? value : JSON.stringify(value)))]));
}

function methods() {
  return [
    el("h1", { tabindex: "-1" }, "Methods"),
    (DATA.methods || []).map((method) => el("div", { class: "method" }, el("h2", {}, named(method.name)), el("p", {}, named(method.text ?? "")), pairs(method.settings),
      method.reference ? el("p", { class: "soft small lead" }, named(method.reference)) : null)),
    DATA.cases.length || DATA.imposters || DATA.attacks ? [el("h2", {}, "How to read the change maps"), el("p", {}, "Each pixel shows the signed change of the color channel that moved most there: blue is darker, orange is brighter. The scale is the same for every map of this page: full range is 1, and a square root keeps small changes visible without cutting off large ones. Stretched maps are linear and span their own largest change, so they cannot be compared with each other.")] : null,
    el("h2", {}, "To repeat this run"),
    el("pre", { tabindex: "0" }, DATA.command ?? "not recorded"),
    pairs({ seed: DATA.seed ?? "not recorded", created: DATA.created ?? "not recorded" }),
    Object.keys(DATA.fingerprints || {}).length ? [el("h2", {}, "Fingerprints"), pairs(DATA.fingerprints)] : null,
    Object.keys(DATA.versions || {}).length ? [el("h2", {}, "Versions"), pairs(DATA.versions)] : null,
  ];
}

// Shell, routes, keys ---------------------------------------------------------------------------------------

const present = () => SECTIONS.filter(([, , why]) => !why());
let opened = null;

/** Say something to screen readers without moving anybody. */
function tell(text) { $("told").textContent = text; }

function route() {
  const whole = location.hash;
  if (whole && !whole.startsWith("#/")) return;
  const [path, query] = whole.slice(2).split("?");
  let [name, place] = path.split("/");
  const index = Number(place);
  if (name === "case" && !DATA.cases[index]) name = "cases";
  if (name !== "case" && !present().some(([id]) => id === name)) name = "overview";
  if (name === "cases") {
    const given = new URLSearchParams(query || "");
    for (const key of Object.keys(filters)) filters[key] = given.get(key) || "";
    gallery();
  }
  if (name === "case") casePage(index);
  if (name === "atlas") atlasPage(index);
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  for (const link of $("nav").children) {
    if (link.dataset.section === name || (name === "case" && link.dataset.section === "cases")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = $(name).querySelector("h1");
  document.title = `${name === "overview" ? "" : title.textContent + " \u00b7 "}${DATA.title}`;
  const heading = (name === "findings" && place ? $("finding-" + index) : null) ?? title;
  heading.closest("details")?.setAttribute("open", "");
  const card = name === "cases" && opened !== null ? $("gallery").querySelector(`a[href="#/case/${opened}"]`) : null;
  if (route.began) {
    if (card) card.focus();
    else {
      heading.focus({ preventScroll: true });
      if (heading === title) scrollTo(0, 0);
      else heading.scrollIntoView();
    }
  }
  opened = name === "case" ? index : null;
  route.began = true;
}

/** Single keys act only while they are switched on, and never while a field has the focus. */
function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !$("keys").checked) return;
  if (event.target.closest("select, textarea, canvas.map, input:not([type=checkbox])") && event.key !== "Escape") return;
  const inside = !$("case").hidden;
  if (inside && event.key === "Escape") location.hash = hash();
  else if (inside && event.key === "b") {
    if (look.mode !== "blink") $("mode-blink")?.click();
    else $("blink")?.click();
  } else if (event.key === "j" || event.key === "k") {
    const by = event.key === "j" ? 1 : -1;
    if (inside) { $("case").querySelector(`[data-step="${by}"]`)?.click(); return; }
    const cards = [...document.querySelectorAll("main > section:not([hidden]) a.card")];
    const at = cards.indexOf(document.activeElement);
    cards[Math.min(cards.length - 1, Math.max(0, at < 0 ? 0 : at + by))]?.focus();
  } else return;
  event.preventDefault();
}

/** Strips of film are many times as wide as high: their frames have that shape, and stand one above the other. */
function lay() {
  const shown = DATA.cases[0]?.original ?? DATA.fooled[0]?.image;
  const [width, height] = DATA.pictures[shown] ?? [1, 1];
  if (width < 2 * height) return;
  document.body.classList.add("film");
  document.body.style.setProperty("--shape", width / height);
}

function begin() {
  const builders = { overview, findings, cases, atlas: () => [], robustness, fooled, nonsense, imposters, attacks, camera, defense, methods };
  recall();
  lay();
  for (const [id, title] of present()) {
    $("nav").append(el("a", { href: "#/" + id, "data-section": id }, title));
    $(id).replaceChildren(...builders[id]().flat(3).filter(Boolean));
  }
  const short = (value) => String(value).slice(0, 12);
  const fact = (title, value) => (value ? el("div", {}, title, el("b", { class: "name" }, value)) : null);
  $("facts").append(...[fact("Model", DATA.model), fact("Data", DATA.data), fact("Data fingerprint", DATA.fingerprints?.data && short(DATA.fingerprints.data)), fact("Made", (DATA.created || "").slice(0, 10)),
    DATA.verified ? fact("Verified from disk", `${count(DATA.verified.held)} of ${count(DATA.verified.claimed)}`) : null,
    DATA.cases.length ? el("label", { class: "check" }, el("input", { type: "checkbox", id: "keys" }), "Single-key shortcuts") : null].filter(Boolean));
  if ($("keys")) $("keys").checked = true;
  document.body.append(el("div", { id: "told", class: "unseen", role: "status" }));
  if ($("keys")) addEventListener("keydown", keys);
  if (sheets().length) atlasPage(0);
  if (encodings().length) showEncoding(0);
  if (cells().length) showCell(telling());
  if (recipes().length) showRecipe(Math.max(0, recipes().findIndex((row) => pictured(row).length)));
  if (DATA.cases.length) gallery(); // paper shows it even when nobody has opened it
  addEventListener("hashchange", route);
  $("main").querySelector("noscript")?.remove();
  route();
}

begin();
