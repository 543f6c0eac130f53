// A picture and its boxes: panes, the overlay, the before-and-after handle. Everything that belongs
// to an entity carries data-e.

import { el, svg } from "./dom.js";
import { boxShown, entityShown } from "./scores.js";
import { percent, plural } from "./words.js";

const CROWDED = 18; // boxes: from here on numbers show only for what is lit

const pct = (v) => `${+(v * 100).toFixed(3)}%`;
const area = (b) => (b.x2 - b.x1) * (b.y2 - b.y1);

function place(box) {
  const [x, y] = [pct(box.x1), pct(box.y1)];
  return { x, y, width: pct(box.x2 - box.x1), height: pct(box.y2 - box.y1) };
}

// "2: a dog, score 87"
function boxName(entity, box) {
  const score = box.score === null ? "" : `, score ${percent(box.score)}`;
  return `${entity.n + 1}: ${entity.phrase || "a box without a phrase"}${score}`;
}

// A corner of the box where no other number stands yet.
function corner(box, taken) {
  const corners = [
    [box.x1, box.y1, 1, 1], [box.x2, box.y1, -1, 1], [box.x2, box.y2, -1, -1], [box.x1, box.y2, 1, -1],
  ];
  const free = corners.find(([x, y, dx, dy]) => {
    const [cx, cy] = [x + dx * 0.03, y + dy * 0.04];
    return taken.every(([tx, ty]) => Math.abs(tx - cx) > 0.06 || Math.abs(ty - cy) > 0.08);
  });
  const [x, y, dx, dy] = free ?? corners[0];
  taken.push([x + dx * 0.03, y + dy * 0.04]);
  return { x, y, dx, dy };
}

function badge(entity, box, taken) {
  const { x, y, dx, dy } = corner(box, taken);
  const text = String(entity.n + 1);
  const width = 11 + 7 * text.length;
  const [left, top] = [dx > 0 ? 0 : -width, dy > 0 ? 0 : -18];
  return svg(
    "svg", { class: "badge", x: pct(x), y: pct(y), overflow: "visible" },
    svg("rect", { x: left, y: top, width, height: 18, fill: entity.colour }),
    svg("text", { x: left + width / 2, y: top + 13.2, "text-anchor": "middle" }, text),
  );
}

// A mask's outline, stretched over the picture. `STEPS` of gallery/outlines.py.
function region(entity, props) {
  return svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", x: "0", y: "0",
    width: "100%", height: "100%" },
    svg("path", { d: entity.mask, "fill-rule": "evenodd", ...props }));
}

const masked = (entity, look) => look.masks && entity.mask !== "";

let holes = 0;

// `evidence`: the boxes, a Set, that stand out until something else is lit.
export function overlay(entry, look, evidence = null) {
  const shown = entry.entities.flatMap((entity) =>
    entity.boxes.filter((b) => boxShown(entity, b, look)).map((box) => ({ entity, box })),
  );
  // The largest first, so that the small ones can be reached.
  shown.sort((a, b) => area(b.box) - area(a.box));
  const id = `hole${++holes}`;
  const full = { width: "100%", height: "100%" };
  const node = svg(
    "svg",
    { class: shown.length >= CROWDED ? "boxes crowded" : "boxes", role: "group",
      "aria-label": plural(shown.length, "box", "boxes") },
    svg("mask", { id, maskUnits: "userSpaceOnUse", x: "0", y: "0", ...full },
      svg("rect", { ...full, fill: "#fff" })),
    svg("rect", { class: "shade", ...full, mask: `url(#${id})` }),
  );
  const taken = [];
  for (const entity of entry.entities) {
    if (!masked(entity, look) || !entityShown(entity, look)) continue;
    const speaks = entity.boxes.some((box) => evidence?.has(box));
    node.append(region(entity, { class: speaks ? "area evidence" : "area", "data-e": entity.n, fill: entity.colour,
      stroke: entity.colour }));
  }
  for (const { entity, box } of shown) {
    const at = place(box);
    node.append(svg(
      "g", { class: evidence?.has(box) ? "box evidence" : "box", "data-e": entity.n, tabindex: "0", role: "button",
        "aria-pressed": "false", "aria-label": boxName(entity, box) },
      svg("rect", { class: "rim", ...at }),
      svg("rect", { class: "line", ...at, stroke: entity.colour }),
    ));
  }
  const numbers = svg("g", { "aria-hidden": "true" });
  for (const { entity, box } of shown.toReversed()) {
    const number = badge(entity, box, taken);
    number.dataset.e = entity.n;
    number.classList.toggle("evidence", Boolean(evidence?.has(box)));
    numbers.append(number);
  }
  node.append(numbers, svg("g", { class: "plate", "aria-hidden": "true" }));
  node.shown = shown;
  node.look = { ...look };
  node.evidence = shown.filter(({ box }) => evidence?.has(box));
  lightOverlay(node, null);
  return node;
}

// The lit entity, else the evidence: the rest of the picture steps back. The phrase of the lit one
// stands at its largest box.
export function lightOverlay(node, n) {
  const [mask, plate] = [node.querySelector("mask"), node.querySelector(".plate")];
  while (mask.children.length > 1) mask.lastChild.remove();
  plate.replaceChildren();
  const lit = n === null ? [] : node.shown.filter(({ entity }) => entity.n === n);
  for (const { entity, box } of n === null ? node.evidence : lit) {
    if (n === null || !masked(entity, node.look)) mask.append(svg("rect", { ...place(box), fill: "#000" }));
    else if (mask.children.length === 1) mask.append(region(entity, { fill: "#000" }));
  }
  node.classList.toggle("lit", lit.length > 0);
  node.classList.toggle("evident", n === null && node.evidence.length > 0);
  if (lit.length) label(plate, node, lit[0]);
}

function label(plate, node, { entity, box }) {
  const score = box.score === null ? "" : `  ${percent(box.score)}`;
  let phrase = entity.phrase || `box ${entity.n + 1}`;
  if (phrase.length > 36) phrase = `${phrase.slice(0, 35).trimEnd()}…`;
  const text = svg("text", { y: 15.5 }, phrase, svg("tspan", { class: "fine" }, score));
  const back = svg("rect", { height: 22, rx: 3, fill: entity.colour });
  plate.append(back, text);
  const [w, h] = [node.clientWidth, node.clientHeight];
  const width = text.getComputedTextLength() + 14;
  const x = Math.max(0, Math.min(box.x1 * w, w - width));
  const above = box.y1 * h - 22;
  const y = above >= -4 ? above : Math.min(box.y1 * h, h - 22);
  plate.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
  text.setAttribute("x", 7);
  back.setAttribute("width", width);
}

// The thumbnail at once; in the large view the original as soon as it is there. Where the
// browser cannot show the original (TIFF, HEIC, moved away), the thumbnail stays.
function image(picture, alt, large) {
  const node = el("img", { alt, src: picture.thumb, decoding: "async", draggable: "false",
    loading: large ? "eager" : "lazy" });
  if (large && picture.href) {
    const full = new Image();
    full.onload = () => { node.src = full.src; };
    full.src = picture.href;
  }
  return node;
}

function pane(picture, kind, alt, large, ...children) {
  const frame = el("div", { class: "frame" });
  frame.style.setProperty("--ratio", String(picture.width / picture.height));
  if (picture.thumb) frame.append(image(picture, alt, large));
  else if (kind !== "annotated") {
    frame.append(el("p", { class: "missing" },
      el("strong", { text: "The picture cannot be shown" }), el("span", { text: picture.problem })));
  }
  frame.append(...children);
  return el("div", { class: `pane ${kind}` }, frame);
}

function handle(stage) {
  const node = el("div", { class: "handle", role: "slider", tabindex: "0", "aria-valuemin": "0",
    "aria-valuemax": "100", "aria-label": "Original to the left, boxes to the right" });
  const set = (cut) => {
    const value = Math.round(Math.min(100, Math.max(0, cut)));
    node.setAttribute("aria-valuenow", String(value));
    stage.style.setProperty("--cut", String(value));
  };
  const follow = (event) => {
    const { left, width } = node.parentElement.getBoundingClientRect();
    set(((event.clientX - left) / width) * 100);
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) follow(event);
  });
  node.addEventListener("keydown", (event) => {
    const now = Number(node.getAttribute("aria-valuenow"));
    const next = { ArrowLeft: now - 5, ArrowDown: now - 5, ArrowRight: now + 5, ArrowUp: now + 5,
      Home: 0, End: 100 }[event.key];
    if (next === undefined) return;
    set(next);
    event.preventDefault();
    event.stopPropagation();
  });
  set(35);
  return node;
}

export function makeStage(picture, entry, look, { view, large = false, evidence = null }) {
  const alt = entry.caption || picture.name;
  const boxes = overlay(entry, look, evidence?.boxes);
  const stage = el("div", { class: `stage ${view}` });
  if (view === "side") {
    stage.append(pane(picture, "original", alt, large), pane(picture, "annotated", "", large, boxes));
  } else if (view === "slider" && boxes.shown.length) {
    stage.append(pane(picture, "both", alt, large, boxes, handle(stage)));
  } else {
    stage.append(pane(picture, "both", alt, large, boxes));
  }
  return stage;
}
