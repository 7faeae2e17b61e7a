// Attacks: what each recipe broke and by how much, a few of its adversaries, and whom else they break.
"use strict";

const hurts = { chosen: 0 };
const recipes = () => listed(DATA.attacks?.table);
const pictured = (row) => listed(DATA.attacks.rows).filter((entry) => entry.recipe === row?.recipe);
const sized = (value) => (typeof value === "number" ? figure(value) : "\u2013");
/** L_inf in gray levels, as a file has it. */
const inLevels = (value) => (typeof value === "number" ? figure(255 * value) : "\u2013");

function recipeTable() {
  const head = ["Recipe", "Asks for", "Bound", "Broken", `Within ${DATA.attacks.eps}`, "L2, median", "L\u221e of 255, median", "Images shown, mean", "Seconds, mean"];
  const rows = recipes().map((row) => [row.recipe, row.asks, row.bound, marked(row.success), marked(row.within),
    sized(row.median_l2), inLevels(row.median_linf), row.queries, sized(row.seconds)]);
  return wideTable(head, rows, "Attacks by recipe");
}

function broken(row) {
  // Drawn at once: paper and captures of a whole page show what nobody has scrolled to.
  const map = changeMap(row.source, row.image, true);
  map.redraw();
  const panel = (text, child) => el("figure", {}, el("figcaption", {}, text), framed(child));
  return el("li", {},
    el("div", { class: "quad three" },
      panel("Source", picture(row.source, `source, ${row.name}, true '${row.true}'`)),
      panel("Adversary", picture(row.image, `adversary, called '${row.called}'`)),
      panel("Change, amplified", map)),
    el("p", { class: "says" }, "true ", named(row.true, "b"), ", called ", named(row.called, "b")),
    el("p", { class: "more" }, named(row.name), `; L2 ${sized(row.l2)}; ${typeof row.linf === "number" ? `no pixel moved by more than ${levelsOf(row.linf)} of 255` : "change not measured"}`));
}

/** A row a recipe and model that its adversaries were made for, a column a model that they are shown to. */
function crossTable(cells) {
  const models = [...new Set(cells.map((cell) => cell.model))];
  const groups = new Map();
  for (const cell of cells) {
    const key = JSON.stringify([cell.recipe, cell.source]);
    groups.set(key, [...(groups.get(key) || []), cell]);
  }
  const order = recipes().map((row) => row.recipe);
  const rows = [...groups.values()].sort((a, b) => order.indexOf(a[0].recipe) - order.indexOf(b[0].recipe)).map((group) => [group[0].recipe, group[0].source,
    ...models.map((model) => {
      const cell = group.find((entry) => entry.model === model);
      return cell ? el("span", { class: cell.source === model ? "itself" : null }, marked(cell.changed), el("br"), el("span", { class: "soft small" }, `noise ${whole(cell.noise.share)}`)) : null;
    })]);
  const sides = new Map(cells.filter((cell) => cell.side).map((cell) => [cell.model, cell.side]));
  const title = (model) => `Shown to ${model}${sides.has(model) ? `, at ${sides.get(model)} pixels` : ""}`;
  return wideTable(["Recipe", "Made for", ...models.map(title)], rows, "Right answers broken, by recipe, model they were made for, and model they were shown to");
}

function toOthers() {
  const cells = listed(DATA.attacks.transfer);
  if (!cells.length) return null;
  return [el("h2", {}, "Shown to other models"),
    DATA.attacks.transfer_sentence ? el("p", { class: "lead" }, named(DATA.attacks.transfer_sentence)) : null,
    el("p", { class: "soft" }, `Shares, with 95 % intervals, of ${count(cells[0].n)} images that all models name rightly: how many a model names otherwise once they were changed for the model of that row. A search that failed is counted with its best attempt. Below each share stands what random signs of the same largest change do; beside a change that is small in L2 and large in a few pixels they are loud. A search that stops at its first success, or wants the smallest change, ends right behind the boundary of its own model, and is less to others than one that takes its whole radius. Where a model is shown its own adversaries, the share is underlined.`),
    crossTable(cells)];
}

function showRecipe(index) {
  hurts.chosen = index;
  if ($("attacks-which")) $("attacks-which").value = index;
  const rows = pictured(recipes()[index]);
  $("attacks-rows").replaceChildren(...[rows.length
    ? el("ul", { class: "quads" }, rows.map(broken))
    : el("p", { class: "soft" }, "No adversary of this recipe is pictured: it broke nothing, or there was no room.")]);
}

function attacks() {
  const found = DATA.attacks;
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence)),
    el("p", { class: "lead" }, `${count(found.images)} images that the model names rightly were attacked by every recipe. Broken: the recipe's own goal is met, judged again from the file, at whatever size where it has no bound. Within ${found.eps}: the file is named otherwise, and no pixel moved by more than that. `, `No recipe did that to ${marked(found.stood)} of them.`),
    listed(found.notes).map((text) => el("p", { class: "lead" }, named(text))),
    recipeTable(),
    el("p", { class: "soft small lead" }, "Medians are over what the recipe broke. Images shown are those that the network was asked about on behalf of one image; where a recipe asks for gradients, most of them cost a backward pass too. Seconds are wall time. An attack finds an upper bound of what a model withstands: a stronger one could only lower it."),
    el("h2", {}, "What they look like"),
    el("div", { class: "spread" }, el("div", { class: "tools" }, el("label", {}, "Recipe",
      el("select", { id: "attacks-which", onchange: (event) => showRecipe(Number(event.target.value)) }, recipes().map((row, i) => el("option", { value: i }, row.recipe))))), legend(true)),
    el("div", { id: "attacks-rows" }),
    toOthers(),
  ];
}
