// Phrases in a caption and as a list, and what lights up with them. Everything that belongs to an
// entity carries data-e.

import { el } from "./dom.js";
import { entityShown } from "./scores.js";
import { lightOverlay } from "./stage.js";
import { percent, plural } from "./words.js";

function phraseSpan(entity, look, found) {
  const boxes = entity.boxes.length;
  const word = entity.phrase || `box ${entity.n + 1}`;
  const scores = entity.boxes.map((b) => b.score).filter((s) => s !== null);
  const facts = [word, `number ${entity.n + 1}`, boxes ? plural(boxes, "box", "boxes") : "no box"];
  if (scores.length) facts.push(`score ${percent(Math.max(...scores))}`);
  const classes = ["phrase"];
  if (!boxes) classes.push("nowhere");
  if (!entityShown(entity, look)) classes.push("weak");
  if (found?.has(entity)) classes.push("found");
  const span = el(
    "span", { class: classes.join(" "), role: "button", tabindex: "0", "data-e": String(entity.n),
      "aria-pressed": "false", "aria-label": facts.join(", ") },
    el("bdi", { text: word }), el("sup", { text: String(entity.n + 1) }),
  );
  span.style.setProperty("--c", entity.colour);
  return span;
}

// The caption as text with phrases in it; phrases that are not a part of it stand behind. `found`:
// the entities that were searched for, a Set.
export function captionOf(entry, look, found = null) {
  const node = el("p", { class: "caption", dir: "auto" });
  const inside = entry.entities.filter((e) => e.start >= 0).sort((a, b) => a.start - b.start);
  const outside = entry.entities.filter((e) => e.start < 0);
  let at = 0;
  for (const entity of inside) {
    if (entity.start < at) {
      outside.push(entity);
      continue;
    }
    node.append(entry.caption.slice(at, entity.start), phraseSpan(entity, look, found));
    at = entity.end;
  }
  node.append(entry.caption.slice(at));
  if (!entry.caption) node.append(el("span", { class: "none", text: "No caption." }));
  if (entry.finish === "length") node.append(el("span", { class: "none", text: " … (cut off)" }));
  for (const entity of outside) node.append(" ", phraseSpan(entity, look, found));
  return node;
}

// Light entity `n` in everything under `root`, and tell it ("lit"); null: nothing.
export function light(root, n, fromBox) {
  root.classList.toggle("linked", n !== null);
  root.classList.toggle("from-box", fromBox);
  for (const node of root.querySelectorAll("[data-e]")) {
    node.classList.toggle("on", n !== null && Number(node.dataset.e) === n);
  }
  for (const node of root.querySelectorAll("svg.boxes")) lightOverlay(node, n);
  root.dispatchEvent(new CustomEvent("lit", { detail: n }));
}

// Pointing goes before what was clicked, and that before what has the focus. Returns a function
// that forgets all three, for when the contents are new.
export function link(root) {
  const now = { hover: null, pin: null, focus: null };
  let lit = null;
  const entity = (event) => event.target.closest?.("[data-e]") ?? null;
  const update = () => {
    const node = now.hover ?? now.pin ?? now.focus;
    if (node === lit) return;
    lit = node;
    light(root, node === null ? null : Number(node.dataset.e), Boolean(node?.closest("svg")));
  };
  const set = (key, node) => {
    now[key] = node;
    update();
  };
  const pin = (node) => {
    for (const other of root.querySelectorAll("[data-e][aria-pressed=true]")) {
      other.setAttribute("aria-pressed", "false");
    }
    node?.setAttribute("aria-pressed", "true");
    set("pin", node);
  };
  root.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "touch") set("hover", entity(event));
  });
  root.addEventListener("pointerleave", () => set("hover", null));
  root.addEventListener("focusin", (event) => set("focus", entity(event)));
  root.addEventListener("focusout", () => set("focus", null));
  const toggle = (node) => {
    const same = now.pin !== null && now.pin.dataset.e === node.dataset.e;
    pin(same ? null : node);
    if (same && now.focus) now.focus.blur();
  };
  root.addEventListener("click", (event) => {
    const node = entity(event);
    if (node) toggle(node);
    // What a control does may be about what is lit.
    else if (now.pin && !event.target.closest("button, summary, label, input, a")) pin(null);
  });
  root.addEventListener("keydown", (event) => {
    const node = entity(event);
    if (node && (event.key === "Enter" || event.key === " ")) {
      toggle(node);
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Escape" && now.pin) {
      pin(null);
      event.preventDefault();
      event.stopPropagation();
    }
  });
  return () => {
    now.hover = now.pin = now.focus = lit = null;
    light(root, null, false);
  };
}

// All phrases with their scores.
export function phraseList(entry, look) {
  const list = el("ol", { class: "phrases", "aria-label": "Phrases" });
  for (const entity of entry.entities) {
    const scores = entity.boxes.map((b) => b.score).filter((s) => s !== null);
    const best = scores.length ? Math.max(...scores) : null;
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
    bar.style.setProperty("--score", String(best ?? 0));
    const row = el("li", { "data-e": String(entity.n), class: entityShown(entity, look) ? null : "weak" },
      el("span", { class: "number", text: String(entity.n + 1) }),
      el("span", { class: "name" }, el("bdi", { text: entity.phrase || "(no phrase)" }),
        el("span", { class: "fine", text: boxesOf(entity) })),
      bar,
      el("span", { class: "value", text: best === null ? "–" : percent(best), title: "Score of its best box, 0 to 100" }));
    row.style.setProperty("--c", entity.colour);
    list.append(row);
  }
  return list;
}

function boxesOf(entity) {
  const words = [];
  if (entity.boxes.length !== 1) words.push(entity.boxes.length ? `${entity.boxes.length} boxes` : "no box");
  if (entity.cut) words.push("cut off");
  return words.length ? ` ${words.join(", ")}` : "";
}
