// The picture of the moment: its stage, the boxes and labels on it, and the box that is drawn.

import { el } from "./dom.js";
import { makeStage, overlay } from "./stage.js";
import { nameAt, paint, share } from "./labels.js";
import { entityShown } from "./scores.js";

const NOTHING = { caption: "", entities: [] };

export class View {
  // `root`: everything under which phrases and boxes light up together.
  constructor({ place, root, look, boxing, point }) {
    Object.assign(this, { place, root, look, boxing, point, picture: null, entry: NOTHING, lit: null, hot: null });
    root.addEventListener("lit", (event) => {
      this.lit = event.detail;
      this.paint();
    });
  }

  get frame() {
    return this.place.querySelector(".frame");
  }

  get labels() {
    return this.look.masks ? this.entry.labels ?? null : null;
  }

  show(picture, entry) {
    this.entry = entry ?? NOTHING;
    if (!picture.width) { // not measured yet
      this.picture = null;
      this.place.replaceChildren(el("div", { class: "pane" }));
      return;
    }
    if (picture === this.picture) {
      this.redraw();
      return;
    }
    this.picture = picture;
    this.place.replaceChildren(makeStage(picture, this.entry, this.look, { view: "overlay", large: true }));
    const { frame } = this;
    this.canvas = el("canvas", { class: "labels", "aria-hidden": "true", hidden: true });
    this.chip = el("p", { class: "pixel", "aria-hidden": "true", hidden: true });
    frame.querySelector("svg.boxes").before(this.canvas);
    frame.append(this.chip, el("span", { class: "scan", "aria-hidden": "true" }));
    this.boxing.attach(frame, picture.box);
    frame.addEventListener("pointermove", (event) => this.over(event));
    frame.addEventListener("pointerdown", (event) => this.over(event));
    frame.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") this.name(null); // a finger leaves with every tap
    });
    this.redraw();
  }

  // It is to be shown in another way: a stage is made anew.
  forget(picture) {
    if (picture === this.picture) this.picture = null;
  }

  redraw() {
    const { frame, entry, look, picture } = this;
    if (!frame) return;
    // Of a picture that this browser cannot show it is known with the first answer.
    for (const node of [this.place, frame]) node.style.setProperty("--ratio", String(picture.width / picture.height));
    frame.querySelector("svg.boxes").replaceWith(overlay(entry, look, entry.evidence));
    frame.querySelector("img")?.setAttribute("alt", entry.caption || picture.name);
    frame.classList.toggle("busy", Boolean(entry.busy));
    frame.classList.toggle("given", entry.verb === "refer"); // the answer has the box
    frame.classList.toggle("labelled", this.labels !== null);
    this.lit = this.hot = null;
    this.paint();
  }

  paint() {
    if (!this.canvas) return;
    const { labels, lit, hot } = this;
    this.canvas.hidden = !labels;
    if (!labels) return;
    const shown = ({ entity }) => entity === null || entityShown(this.entry.entities[entity], this.look);
    let chosen = null;
    if (hot !== null) chosen = ({ id }) => id === hot;
    else if (lit !== null && labels.names.some(({ entity }) => entity === lit)) chosen = ({ entity }) => entity === lit;
    paint(this.canvas, labels, { lit: chosen, shown });
  }

  over(event) {
    if (!this.labels || this.boxing.drag?.going || event.target.closest(".drawn, .drawn-bar")) this.name(null);
    else {
      const { left, top, width, height } = this.frame.getBoundingClientRect();
      this.name((event.clientX - left) / width, (event.clientY - top) / height);
    }
  }

  // Say what the pixel there is called; null: nothing.
  name(x, y) {
    const found = x === null ? null : nameAt(this.labels, x, y);
    this.chip.hidden = !found;
    this.heat(found && found.kind !== "rest" ? found.id : null);
    if (!found) return;
    const swatch = el("span", { class: "swatch" });
    swatch.style.setProperty("--c", found.colour);
    this.chip.replaceChildren(swatch, el("bdi", { text: found.phrase }), el("span", { class: "fine", text: share(found) }));
    this.chip.style.setProperty("--x", `${x * 100}%`);
    this.chip.style.setProperty("--y", `${y * 100}%`);
    this.chip.classList.toggle("left", x > 0.6);
    this.chip.classList.toggle("above", y > 0.8);
  }

  // A label stands out, on the picture, in the list of names and, if it has one, with its phrase.
  heat(id) {
    if (id === this.hot) return;
    this.hot = id;
    this.paint();
    this.point(id);
    const entity = id === null ? this.lit : this.labels.names[id].entity;
    for (const node of this.root.querySelectorAll(".phrase, .phrases li")) {
      node.classList.toggle("on", Number(node.dataset.e) === entity);
    }
  }
}
