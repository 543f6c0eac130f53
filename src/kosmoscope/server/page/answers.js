// What was said: the answer of the moment, the names of all pixels, and what was asked before.

import { el } from "./dom.js";
import { share } from "./labels.js";
import { captionOf, phraseList } from "./phrases.js";
import { plural } from "./words.js";

function factsOf(entry) {
  const facts = [];
  if (entry.seconds !== null) facts.push(`${entry.seconds.toFixed(entry.seconds < 10 ? 2 : 0)} s`);
  const boxes = entry.entities.reduce((n, e) => n + e.boxes.length, 0);
  if (entry.result) facts.push(plural(boxes, "box", "boxes"));
  if (entry.finish === "stopped") facts.push("stopped");
  return facts.join(" · ");
}

// The text so far, with its phrases.
export function textOf(entry, look) {
  if (entry.busy && !entry.caption) {
    const words = entry.waiting || "Looking";
    return el("p", { class: "caption none", "aria-busy": "true" }, words, el("span", { class: "dots", "aria-hidden": "true", text: "…" }));
  }
  const node = captionOf(entry, look);
  node.classList.toggle("streaming", entry.busy);
  node.setAttribute("aria-busy", String(entry.busy));
  return node;
}

export function answerOf(entry, look, { stop, again }) {
  const head = el("header", { class: "answer-head" }, el("h2", {}, el("bdi", { text: entry.title })),
    el("span", { class: "fine", text: factsOf(entry) }));
  if (entry.busy) {
    const button = el("button", { type: "button", class: "push small", id: "stop", text: "Stop", title: "Stop (Esc)" });
    button.addEventListener("click", stop);
    head.append(button);
  }
  const parts = [head];
  if (entry.error) {
    const button = el("button", { type: "button", class: "push small", id: "again", text: "Try again" });
    button.addEventListener("click", again);
    if (entry.caption) parts.push(textOf(entry, look));
    parts.push(el("div", { class: "failed", role: "alert" }, el("p", { text: entry.error }), button));
    return parts;
  }
  if (entry.busy || entry.caption || entry.result) parts.push(textOf(entry, look));
  else parts.push(el("p", { class: "caption none", text: "Stopped before a word was said." }));
  if (!entry.busy && entry.entities.length) parts.push(phraseList(entry, look));
  if (!entry.busy && entry.result && !entry.entities.length) {
    parts.push(el("p", { class: "fine", text: "It names nothing that has a place in the picture." }));
  }
  for (const note of entry.notes) parts.push(el("p", { class: "fine", text: note }));
  return parts;
}

// Every name and its part of the picture, the largest first. `heat(id)`: it is pointed at.
export function namesOf(entry, look, heat) {
  if (!look.masks) return [];
  if (entry.maskError) return [el("p", { class: "failed", role: "alert", text: entry.maskError })];
  if (!entry.labels) return [el("p", { class: "fine", role: "status", text: "Naming every pixel…" })];
  const found = entry.labels.names.filter((name) => name.share).toSorted((a, b) => b.share - a.share);
  const rows = (names) => names.map((name) => nameRow(name, heat));
  const named = found.filter(({ kind }) => kind !== "region");
  const others = found.filter(({ kind }) => kind === "region");
  const parts = [el("h3", { id: "names-title", text: "Every pixel" }),
    el("ul", { class: "names", "aria-labelledby": "names-title" }, ...rows(named))];
  if (others.length) {
    const rest = { share: others.reduce((sum, { share: one }) => sum + one, 0) };
    parts.push(el("details", { class: "regions" },
      el("summary", { text: `${plural(others.length, "region")} that nobody named, ${share(rest)}` }),
      el("ul", { class: "names", "aria-label": "Regions" }, ...rows(others))));
  }
  return parts;
}

function nameRow(name, heat) {
  const row = el("li", { "data-label": String(name.id) }, el("span", { class: "swatch" }),
    el("bdi", { text: name.phrase }), el("span", { class: "fine", text: share(name) }));
  row.style.setProperty("--c", name.colour);
  row.addEventListener("pointerenter", () => heat(name.kind === "rest" ? null : name.id));
  row.addEventListener("pointerleave", () => heat(null));
  return row;
}

// The picture's other answers, the latest first. `choose(i)`: show it again.
export function earlierOf(picture, choose) {
  const others = picture.entries.map((entry, i) => ({ entry, i })).filter(({ i }) => i !== picture.at).toReversed();
  if (!others.length) return [];
  const list = el("ol", { class: "turns", "aria-labelledby": "earlier-title" });
  for (const { entry, i } of others) {
    const button = el("button", { type: "button" }, el("bdi", { class: "asked", text: entry.title }),
      el("bdi", { class: "said", text: entry.caption || entry.error || "nothing yet" }));
    button.addEventListener("click", () => choose(i));
    list.append(el("li", {}, button));
  }
  return [el("h3", { id: "earlier-title", text: "Also asked" }), list];
}

// All pictures of this visit. `choose(picture)`: go back to it.
export function stripOf(pictures, current, choose) {
  return pictures.map((picture) => {
    const button = el("button", { type: "button", class: "thumb", title: picture.name,
      "aria-label": `Picture ${picture.number}: ${picture.name}`, "aria-current": picture === current ? "true" : null },
      picture.thumb ? el("img", { src: picture.thumb, alt: "" }) : el("span", { text: "?" }));
    button.addEventListener("click", () => choose(picture));
    return el("li", {}, button);
  });
}
