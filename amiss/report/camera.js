// Before a camera: shares of photographs, a map of each kind over distance and angle, and a few images from six places.
"use strict";

const CELL = { width: 54, height: 40, left: 46, top: 26 };

/** Whole percents in two digits, 0 and 100 only where it is none or all. */
const percents = (share) => String(share > 0 && share < 1 ? Math.min(99, Math.max(1, Math.round(100 * share))) : 100 * share);

/** A map as a drawing: a row a size, a column a viewing angle, the share as shade and as a number. */
function placesMap(part) {
  const width = CELL.left + CELL.width * part.tilts.length;
  const height = CELL.top + CELL.height * part.scales.length + 22;
  const said = part.scales.map((scale, i) => `size ${figure(scale)}: ${part.map[i].map((share) => whole(share)).join(", ")}`);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Share of photographs ${part.what}, by apparent size and viewing angle. ${said.join("; ")}` });
  const words = (x, y, anchor, text, kind = "") => shape("text", { x, y, "text-anchor": anchor, class: kind }, text);
  svg.append(words(0, 14, "start", "size"), words(width, 14, "end", "viewing angle"));
  part.scales.forEach((scale, i) => {
    const y = CELL.top + i * CELL.height;
    svg.append(words(CELL.left - 8, y + CELL.height / 2 + 4, "end", figure(scale)));
    part.map[i].forEach((share, k) => {
      const x = CELL.left + k * CELL.width;
      svg.append(shape("rect", { class: "cell", x, y, width: CELL.width - 2, height: CELL.height - 2 }),
        shape("rect", { class: "heat", x, y, width: CELL.width - 2, height: CELL.height - 2, "fill-opacity": share }),
        words(x + CELL.width / 2 - 1, y + CELL.height / 2 + 4, "middle", percents(share), share > 0.55 ? "on" : "strong"));
    });
  });
  part.tilts.forEach((tilt, k) => svg.append(words(CELL.left + (k + 0.5) * CELL.width, height - 6, "middle", `${figure(tilt)}\u00b0`)));
  return el("div", { class: "chart" }, svg);
}

function sharesTable(found) {
  const head = ["Picture", "What is counted", "Share", "95% interval", "Of those right unchanged", "Images", "Photographs"];
  const rows = listed(found.parts).map((part) => [part.title, part.what, whole(part.share), `${whole(part.low)} to ${whole(part.high)}`,
    typeof part.of_right === "number" ? whole(part.of_right) : null, part.images, part.photographs]);
  return wideTable(head, rows, "Shares of photographs by kind of picture");
}

/** One image: a row a kind of picture, the picture itself first, then its photographs; a dashed frame is no success. */
function fromPlaces(example) {
  const places = listed(DATA.camera.places);
  const panel = (shot, place, kind) => el("figure", { class: kind !== "clean" && !shot.met ? "below" : null },
    framed(picture(shot.image, `${place}, called '${shot.says}'`)),
    el("figcaption", {}, el("span", { class: "place" }, place), named(shot.says, "b")));
  return el("li", {}, el("h3", {}, named(example.name), ", true ", named(example.true)),
    listed(example.rows).map((row) => el("div", { class: "shots" }, panel(row, row.title, row.kind), listed(row.shots).map((shot, i) => panel(shot, places[i], row.kind)))));
}

function sheetSaid(sheet) {
  if (!sheet) return "Pictures of this shape and width do not fit on a page, so there is no sheet to print.";
  return [named(sheet.file), ` in the run folder is a page of A4 with adversaries made over many views, each ${figure(sheet.millimeters)} mm wide`,
    sheet.cut ? ", without what lies outside the mask: a sticker to cut out" : "", ", and a ruler to check the print by: ", named(listed(sheet.pictures).join(", ")), "."];
}

function camera() {
  const found = DATA.camera;
  return [
    el("h1", { tabindex: "-1" }, named(found.sentence)),
    listed(found.text).map((text) => el("p", { class: "lead" }, named(text))),
    sharesTable(found),
    el("h2", {}, "From where"),
    el("p", { class: "soft" }, `Percent of ${count(found.parts[0]?.of)} photographs at each apparent size, 1 over the distance, and viewing angle; rotation and light are drawn for each.`),
    el("div", { class: "small-charts" }, listed(found.parts).map((part) => el("figure", {}, el("h3", {}, part.title, ": ", part.what), placesMap(part)))),
    el("h2", {}, "What the camera sees"),
    el("p", { class: "soft" }, "A few images, evenly spaced among those that were changed. An adversary that does not succeed in a photograph has a dashed frame there."),
    el("ul", { class: "scenes" }, listed(found.examples).map(fromPlaces)),
    el("h2", {}, "To print"),
    el("p", { class: "lead" }, sheetSaid(found.sheet)),
    el("h2", {}, "Limits"),
    el("ul", { class: "limits" }, listed(found.limits).map((text) => el("li", {}, named(text)))),
  ];
}
