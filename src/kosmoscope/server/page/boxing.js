// A box that the visitor draws on the picture: with a mouse, a finger, or the keyboard.

import { el } from "./dom.js";

const STEP = 0.02;
const LEAST = 0.015; // of a side; less was a slip
const SLIP_PX = 5;
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const within = (v) => Math.min(1, Math.max(0, v));
const rounded = (box) => box.map((v) => Math.round(v * 1e4) / 1e4);
const ordered = ([a, b, c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];

function moved([x1, y1, x2, y2], dx, dy) {
  const x = Math.min(Math.max(dx, -x1), 1 - x2);
  const y = Math.min(Math.max(dy, -y1), 1 - y2);
  return [x1 + x, y1 + y, x2 + x, y2 + y];
}

export function boxWords([x1, y1, x2, y2]) {
  const of = (v) => Math.round(v * 100);
  return `from ${of(x1)} to ${of(x2)} percent across, ${of(y1)} to ${of(y2)} percent down`;
}

export class Boxing {
  // `changed(box)` after every change, null: there is none; `refer()`: what is in it?
  constructor({ changed, refer, say }) {
    Object.assign(this, { changed, refer, say, frame: null, box: null, drag: null, armed: false });
    const label = "Box you drew. Arrow keys move it, with Shift they change its size. Enter asks what is in it, Escape takes it away.";
    this.node = el("div", { class: "drawn", role: "application", tabindex: "0", "aria-label": label, hidden: true });
    for (const corner of ["nw", "ne", "se", "sw"]) {
      this.node.append(el("span", { class: `corner ${corner}`, "data-corner": corner }));
    }
    const what = el("button", { type: "button", class: "push primary small", text: "What is this?" });
    const away = el("button", { type: "button", class: "push small", "aria-label": "Take the box away", title: "Take the box away (Esc)", text: "×" });
    this.bar = el("div", { class: "drawn-bar", role: "group", "aria-label": "About the box", hidden: true }, what, away);
    what.addEventListener("click", () => this.refer());
    away.addEventListener("click", () => this.set(null));
    this.node.addEventListener("keydown", (event) => this.onKey(event));
  }

  attach(frame, box) {
    this.frame = frame;
    this.drag = null;
    frame.append(this.node, this.bar);
    frame.addEventListener("pointerdown", (event) => this.down(event));
    frame.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => this.up(event));
    this.arm(false);
    this.show(box);
  }

  // With a finger, drawing has to be asked for: else it scrolls the page.
  arm(on) {
    this.armed = on;
    this.frame?.classList.toggle("armed", on);
  }

  show(box) {
    this.box = box;
    this.frame?.classList.remove("given");
    this.node.hidden = this.bar.hidden = !box;
    if (!box) return;
    const [x1, y1, x2, y2] = box.map((v) => `${v * 100}%`);
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) {
      this.node.style.setProperty(`--${name}`, value);
      this.bar.style.setProperty(`--${name}`, value);
    }
    this.bar.classList.toggle("inside", box[3] > 0.84);
    this.bar.classList.toggle("right", box[0] > 0.6);
  }

  set(box) {
    const had = document.activeElement === this.node || this.bar.contains(document.activeElement);
    this.show(box && rounded(box));
    this.changed(this.box);
    if (!box && had) this.frame.closest("[tabindex]")?.focus({ preventScroll: true });
  }

  // For the keyboard: a box in the middle, to be moved.
  begin() {
    this.set(this.box ?? [0.3, 0.3, 0.7, 0.7]);
    this.node.focus();
  }

  point(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [within((event.clientX - left) / width), within((event.clientY - top) / height)];
  }

  down(event) {
    const { target } = event;
    if (event.button !== 0 || target.closest(".drawn-bar")) return;
    const [corner, mine] = [target.dataset?.corner, target.closest(".drawn")];
    if (event.pointerType === "touch" && !this.armed && !corner && !mine) return;
    const from = corner ? [this.box[corner.includes("w") ? 2 : 0], this.box[corner.includes("n") ? 3 : 1]] : this.point(event);
    this.drag = { id: event.pointerId, x: event.clientX, y: event.clientY, from, old: this.box,
      moves: Boolean(mine) && !corner, began: Boolean(corner) };
  }

  move(event) {
    const { drag } = this;
    if (!drag || drag.id !== event.pointerId) return;
    if (!drag.began && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < SLIP_PX) return;
    drag.began = drag.going = true;
    this.frame.setPointerCapture(drag.id);
    const [x, y] = this.point(event);
    const [fx, fy] = drag.from;
    this.show(drag.moves ? moved(drag.old, x - fx, y - fy) : ordered([fx, fy, x, y]));
    event.preventDefault();
  }

  up(event) {
    const { drag } = this;
    if (!drag || drag.id !== event.pointerId) return;
    this.drag = null;
    if (!drag.going) return;
    // What follows is a click on whatever lies here: it is none.
    const swallow = (click) => click.stopPropagation();
    this.frame.addEventListener("click", swallow, true);
    setTimeout(() => this.frame?.removeEventListener("click", swallow, true));
    this.arm(false);
    const [x1, y1, x2, y2] = this.box;
    this.set(x2 - x1 < LEAST || y2 - y1 < LEAST ? drag.old : this.box);
  }

  onKey(event) {
    const arrow = ARROWS[event.key];
    if (arrow && this.box) {
      const [dx, dy] = arrow;
      const [x1, y1, x2, y2] = this.box;
      const larger = [x1, y1, Math.max(x1 + STEP, within(x2 + dx)), Math.max(y1 + STEP, within(y2 + dy))];
      this.set(event.shiftKey ? larger : moved(this.box, dx, dy));
      this.say(`Box ${boxWords(this.box)}`);
    } else if (event.key === "Enter") this.refer();
    else if (["Escape", "Delete", "Backspace"].includes(event.key)) this.set(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
