// One case: original against result, the search step by step, and method beside method.
"use strict";

const look = { method: "", mode: "side" };

function casePage(index) {
  const item = DATA.cases[index];
  const list = chosen().includes(item) ? chosen() : DATA.cases;
  const at = list.indexOf(item);
  const step = (by, text, key) => (list[at + by] ? el("a", { href: "#/case/" + DATA.cases.indexOf(list[at + by]), "data-step": by }, text) : null);
  const repair = item.repairs.find((entry) => entry.method === look.method) || best(item);
  const again = (changes, focus) => { Object.assign(look, changes); casePage(index); $(focus)?.focus(); };
  const toggle = (id, text, on, changes) => el("button", { type: "button", id, "aria-pressed": String(on), onclick: () => again(changes, id) }, named(text));
  $("case").replaceChildren(...[
    el("nav", { class: "path", "aria-label": "Case" }, el("a", { href: hash(), id: "back" }, "All cases"), step(-1, "Previous"), step(1, "Next"), el("span", { class: "soft" }, `${at + 1} of ${list.length}`)),
    el("h1", { tabindex: "-1" }, "True ", named(item.true), item.predicted ? [", said ", named(item.predicted)] : null),
    el("p", { class: "lead" }, named(item.name), `: ${said(item.outcome)}`, item.outcome === "met" && item.repaired_as ? [", now ", named(item.repaired_as)] : null, ". ",
      item.judge ? ["An independent judge calls the original ", named(item.judge), "."] : null),
    belongs(item),
    ...(repair ? [
      el("div", { class: "tools" },
        el("div", { class: "row", role: "group", "aria-label": "Method" }, item.repairs.map((entry, i) => toggle("method-" + i, entry.method, entry === repair, { method: entry.method }))),
        el("div", { class: "row", role: "group", "aria-label": "Compare" }, toggle("mode-side", "Side by side", look.mode === "side", { mode: "side" }), toggle("mode-swipe", "Swipe", look.mode === "swipe", { mode: "swipe" }), toggle("mode-blink", "Blink", look.mode === "blink", { mode: "blink" })),
        stretcher("case-stretch", () => casePage(index))),
      ...viewer(item, repair),
      el("h2", {}, "Method beside method"),
      el("div", { class: "beside" }, item.repairs.map((entry) => beside(item, entry))),
      answers(item),
    ] : [el("p", { class: "lead" }, "No repair was tried on this image."), el("div", { class: "stage one" }, framed(original(item)))]),
    el("p", { class: "lead small keys" }, el("kbd", {}, "j"), " next  ", el("kbd", {}, "k"), " previous  ", el("kbd", {}, "b"), " blink  ", el("kbd", {}, "Esc"), " all cases"),
  ].filter(Boolean));
}

/** The findings that a case belongs to, and its map. */
function belongs(item) {
  const links = tested().map((finding, i) => (listed(item.findings).includes(finding.id) ? el("a", { href: "#/findings/" + i }, "Finding: ", title(finding)) : null));
  const map = sheetOf(item);
  if (map >= 0) links.push(el("a", { href: "#/atlas/" + map }, "Its map in the atlas"));
  const there = links.filter(Boolean);
  return there.length ? el("p", { class: "path" }, there) : null;
}

/** What the classifier says of the image, of what the decoder keeps of it, and of both changed. */
function answers(item) {
  if (!item.answers) return null;
  const rows = [["x", "the image"], ["gz", "g(z), what the decoder keeps of it"], ["plain", "g(z + d), the changed code decoded"], ["moved", "x', the image with that change"]];
  return el("div", {}, el("h2", {}, "Before and after the decoder"),
    table(["Image", "Called"], rows.map(([name, text]) => [text, item.answers[name] ?? "not asked"]), "What the classifier calls the image and its decoded versions"));
}

const yes = (value) => (value === true ? "yes" : value === false ? "no" : "not tried");

function beside(item, repair) {
  const rows = [["Outcome", said(repair.outcome)], ["L2", figure(repair.l2)], ["Largest change", figure(repair.linf)], ["Steps", count(repair.steps)], ["Margin", figure(repair.margin)],
    ["Judge says", repair.judge ?? "not asked"], ["Held from disk", yes(repair.verified)], ["Why it stopped", repair.reason ?? "not recorded"]];
  return el("div", {}, el("h3", {}, named(repair.method)),
    el("div", { class: "pair" }, framed(changeMap(item.original, repair.image, Boolean(filters.stretch))), framed(repaired(item, repair))),
    el("dl", { class: "numbers" }, rows.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, named(value))])));
}

/** The large comparison, and below it the frames of the search with the margin over its steps. */
function viewer(item, repair) {
  const frames = repair.frames || [];
  // The result is the last stop. A search may keep an earlier step than its last, so that is not always a frame.
  const end = frames.at(-1) === repair.image ? frames.length - 1 : frames.length;
  let here = end;
  let flipped = false;
  const image = () => (here < end ? frames[here] : repair.image);
  const place = () => repair.shown?.[here]; // where on the track; not every step need have its picture
  const label = () => (here < end ? repair.frame_labels[place()] : null);
  // A frame is compared with the original at the frame's own size.
  const before = () => (here < end ? item.start : item.original);
  const stage = el("div", { class: look.mode === "side" ? "stage" : "stage one", id: "stage" });
  const panel = (title, child, id) => el("figure", {}, el("figcaption", { id }, title), child);
  const after = () => repaired(item, repair, image(), label());

  const map = changeMap(before(), image(), Boolean(filters.stretch));
  const right = framed(after());
  right.id = "frame";
  const caption = () => (here === end ? (repair.outcome === "met" ? DONE : "Best attempt") : `Step ${count(repair.frame_steps[place()])}`);
  if (look.mode === "side") stage.append(panel("Original", framed(original(item))), panel("Change", framed(map)), panel(caption(), right, "caption"));
  if (look.mode === "swipe") {
    const edge = el("div", { class: "edge" });
    const slide = (value) => { right.style.clipPath = `inset(0 0 0 ${value}%)`; edge.style.left = value + "%"; };
    slide(50);
    stage.append(el("figure", {}, el("figcaption", {}, `Original on the left of the line, ${DONE.toLowerCase()} on the right`), el("div", { class: "swipe" }, framed(original(item)), right, edge),
      el("label", { class: "field" }, "Move the line", el("input", { type: "range", id: "swipe", min: 0, max: 100, value: 50, oninput: (event) => slide(event.target.value) }))));
  }
  if (look.mode === "blink") {
    const face = el("figcaption", { id: "caption", "aria-live": "polite" }, caption());
    const flip = () => {
      flipped = !flipped;
      right.replaceChildren(flipped ? original(item) : after());
      face.textContent = flipped ? "Original" : caption();
    };
    stage.append(el("figure", {}, face, right, el("p", { class: "lead" }, el("button", { type: "button", id: "blink", onclick: flip }, "Blink"))));
  }
  const parts = [stage, el("div", { class: "spread" }, el("span"), legend(Boolean(filters.stretch)))];
  if (look.mode !== "side") parts.pop();
  if (!frames.length) return [...parts, el("p", { class: "soft lead" }, "No frames of this search were kept.")];

  // Margins and labels are null where nobody asked the classifier.
  const margin = (value) => (typeof value === "number" ? `margin ${figure(value)}` : null);
  const stop = (head, ...parts) => [head, parts.filter(Boolean).join(", ")].filter(Boolean).join(": ");
  const words = () => (here === frames.length ? stop("Result", margin(repair.margin), said(repair.outcome))
    : stop(`Step ${count(repair.frame_steps[place()])}`, margin(repair.frame_margins[place()]), repair.frame_labels[place()] === null ? null : `called '${repair.frame_labels[place()]}'`));
  const line = el("output", { class: "name", for: "scrubber" }, words());
  const slider = el("input", { type: "range", id: "scrubber", min: 0, max: end, step: 1, value: here, "aria-label": "Frame of the search", "aria-valuetext": words(), oninput: (event) => go(Number(event.target.value)) });
  const charted = repair.frame_margins.some((value) => typeof value === "number");
  const plot = fluid((width) => marginChart(width, repair, place(), (index) => { slider.value = index; go(index); }));
  function go(index) {
    here = index;
    if (!flipped) right.replaceChildren(after());
    if ($("caption") && !flipped) $("caption").textContent = caption();
    map.redraw();
    line.textContent = words();
    slider.setAttribute("aria-valuetext", words());
    plot.redraw();
  }
  map.redraw = () => { waiting.unobserve(map); return drawChange(map, before(), image(), Boolean(filters.stretch)); };
  const rows = repair.frame_steps.map((value, i) => [value, repair.frame_margins[i], repair.frame_labels[i]]);
  return [...parts, el("div", { class: "film" }, line, slider, charted ? [plot, el("details", {}, el("summary", {}, "The same as a table"), table(["Step", "Margin", "Label"], rows, "Margin and label at each step"))] : null)];
}

/** The margin over the steps; a band below names the label in force, told apart by hatching and by word. */
function marginChart(width, repair, here, pick) {
  const { frame_steps: steps, frame_margins: margins, frame_labels: labels } = repair;
  const known = margins.filter((value) => typeof value === "number");
  const spread = [Math.min(0, ...known), Math.max(0, ...known)];
  const room = 0.08 * (spread[1] - spread[0] || 1);
  const height = 230;
  const { svg, sx, sy } = axes(width, height, [steps[0], steps.at(-1)], [spread[0] - room, spread[1] + room], ["step", "margin of the wanted answer"],
    `Margin over ${steps.length} frames, from ${figure(margins[0])} to ${figure(margins.at(-1))}; above 0 the answer is the wanted one. The table below has the numbers.`);
  svg.append(shape("line", { class: "zero", x1: 46, x2: width - 14, y1: sy(0), y2: sy(0) }));
  let path = "";
  margins.forEach((value, i) => { if (typeof value === "number") path += `${path && typeof margins[i - 1] === "number" ? "L" : "M"}${sx(steps[i]).toFixed(1)} ${sy(value).toFixed(1)}`; });
  svg.append(shape("path", { class: "curve", d: path }));
  // A result that is none of the steps has no mark.
  if (typeof margins[here] === "number") svg.append(shape("circle", { class: "here", cx: sx(steps[here]), cy: sy(margins[here]), r: 5 }));
  const hatch = shape("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, shape("line", { class: "hatched", x1: 0, y1: 0, x2: 0, y2: 6 }));
  svg.append(shape("defs", {}, hatch));
  for (let start = 0, turn = 0; start < labels.length; turn++) {
    let end = start;
    while (end + 1 < labels.length && labels[end + 1] === labels[start]) end++;
    const left = sx(steps[start]);
    const right = end + 1 < steps.length ? sx(steps[end + 1]) : width - 14;
    const wide = Math.max(2, right - left);
    svg.append(shape("rect", { class: "run", x: left, y: height + 6, width: wide, height: 22 }));
    if (turn % 2) svg.append(shape("rect", { x: left, y: height + 6, width: wide, height: 22, fill: "url(#hatch)" }));
    const text = String(labels[start]);
    const fits = Math.floor((wide - 16) / 7);
    if (fits >= Math.min(2, text.length)) {
      const word = text.length > fits ? text.slice(0, Math.max(1, fits - 1)) + "\u2026" : text;
      svg.append(shape("rect", { class: "plate", x: left + 4, y: height + 9, width: 7 * word.length + 8, height: 16 }), shape("text", { class: "strong", x: left + 8, y: height + 21 }, word));
    }
    start = end + 1;
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height + 30}`);
  svg.addEventListener("click", (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    const far = (index) => Math.abs(sx(steps[repair.shown[index]]) - at);
    pick(repair.shown.reduce((near, _, index) => (far(index) < far(near) ? index : near), 0));
  });
  return svg;
}
