// Can this be believed: the trust flags that fired, in full; all of them as a table; and the gates.
"use strict";

const MARKS = {
  "fired": ["Fired", "M8 1.5 15 14H1ZM8 6v4M8 12v.01"],
  "clear": ["Clear", "m2.5 8.5 3.5 3.5 7.5-8"],
  "not measured": ["Not measured", "M3 8h10"],
  "met": ["Met", "m2.5 8.5 3.5 3.5 7.5-8"],
  "not met": ["Not met", "M3.5 3.5l9 9m0-9-9 9"],
};
const ALARMS = new Set(["fired", "not met"]);
const WHEN = { before: "before the search", after: "after the search" };

const listed = (value) => (Array.isArray(value) ? value : []);
const stateOf = (flag) => (flag.state === "fired" || flag.state === "clear" ? flag.state : "not measured");

/** A state as icon and word, so that no color has to be seen. */
function mark(state) {
  return el("span", { class: ALARMS.has(state) ? "mark alarm" : "mark" }, icon(state), MARKS[state][0]);
}

function icon(state) {
  return shape("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, shape("path", { d: MARKS[state][1] }));
}

/** A sentence of ours; what stands between backticks in it is code. */
const prose = (text) => el("span", { class: "name" }, String(text).split(/`([^`]+)`/).map((part, i) => (i % 2 ? el("code", {}, part) : part)));

/** A flag that fired: what follows from it first, then how it was found and what to do. */
function fired(flag) {
  const rows = [["Measured", flag.measured], ["Fires where", flag.threshold], ["Remedy", flag.remedy], ["Reference", flag.reference]];
  return el("li", { class: "flag" },
    el("p", { class: "small" }, mark("fired"), el("span", { class: "soft" }, ", ", named(Object.hasOwn(WHEN, flag.when) ? WHEN[flag.when] : flag.when), ": ", named(flag.slug))),
    el("h3", {}, named(flag.title ?? flag.slug)), el("p", {}, prose(flag.consequence ?? "")),
    el("dl", { class: "numbers" }, rows.filter((row) => row[1]).flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, prose(text))])));
}

/** How many checks are clear and how many were not measured: one line, which opens the table of all. */
function everyFlag(flags) {
  const [bad, good, mute] = ["fired", "clear", "not measured"].map((state) => flags.filter((flag) => stateOf(flag) === state));
  const lead = bad.length ? (good.length === 1 ? " check" : " checks") : "";
  const tally = [good.length && `${count(good.length)}${lead} clear`, mute.length && `${count(mute.length)} not measured`].filter(Boolean).join(", ");
  const calm = good.length ? `No check fired: ${tally}` : "No check could be measured";
  const line = bad.length ? tally || "All checks" : [icon(good.length ? "clear" : "not measured"), calm];
  // By slug: a title says what is wrong, and of a check that is clear nothing is.
  const rows = [...bad, ...good, ...mute].map((flag) => [flag.slug, mark(stateOf(flag)), flag.measured ?? "", flag.threshold ?? ""]);
  return el("details", {}, el("summary", {}, line), table(["Check", "State", "Measured", "Fires where"], rows, "All checks"));
}

function trust() {
  const [flags, gates] = [listed(DATA.flags), listed(DATA.gates)];
  if (!flags.length && !gates.length) return null;
  const bad = flags.filter((flag) => stateOf(flag) === "fired");
  return el("div", { class: "trust" },
    flags.length ? [el("h2", {}, "Can this be believed?"), bad.length ? el("ul", { class: "flags" }, bad.map(fired)) : null, everyFlag(flags)] : null,
    gates.length ? [el(flags.length ? "h3" : "h2", {}, "Gates"),
      table(["Gate", "State", "Measured"], gates.map((gate) => [gate.text, mark(gate.met === true ? "met" : "not met"), gate.why || figure(gate.value, 4)]), "Gates")] : null);
}

// Paper cannot be opened.
addEventListener("beforeprint", () => { for (const node of document.querySelectorAll(".trust details:not([open]), details.paper:not([open])")) { node.open = true; node.dataset.shut = ""; } });
addEventListener("afterprint", () => { for (const node of document.querySelectorAll("details[data-shut]")) { node.open = false; delete node.dataset.shut; } });
