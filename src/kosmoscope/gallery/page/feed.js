// The list of cards. Cards exist only near the window: the list is cut into blocks, and a block
// far away is an empty box as high as its cards were, or as they are expected to be.

const BLOCK = 12; // divisible by every number of columns up to four, and by six
const NEAR = "900px 0px";

class Feed {
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    this.list = [];
    this.rowHeight = 0;
    this.columns = 1;
    this.observer = new IntersectionObserver((seen) => this.onSeen(seen), { rootMargin: NEAR });
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (Math.abs(contentRect.width - width) < 1) return;
      width = contentRect.width;
      this.reserve();
    }).observe(root);
  }

  show(list) {
    this.observer.disconnect();
    this.list = list;
    const blocks = [];
    for (let start = 0; start < list.length; start += BLOCK) {
      blocks.push(el("div", { class: "block", role: "none", "data-start": String(start) }));
    }
    this.root.replaceChildren(...blocks);
    this.root.dataset.view = currentView();
    if (!blocks.length) return;
    this.fill(blocks[0]);
    this.reserve();
    for (const block of blocks) this.observer.observe(block);
  }

  onSeen(seen) {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) this.fill(target);
      else this.clear(target);
    }
  }

  fill(block) {
    if (block.childElementCount) return;
    const start = Number(block.dataset.start);
    const cards = this.list
      .slice(start, start + BLOCK)
      .map((p, i) => makeCard(p, start + i, this.list.length, this.actions));
    block.replaceChildren(...cards);
    block.style.minHeight = "";
  }

  clear(block) {
    // What has the focus must not vanish under the keyboard.
    if (!block.childElementCount || block.contains(document.activeElement)) return;
    block.style.minHeight = `${block.offsetHeight}px`;
    block.replaceChildren();
  }

  // Measure a row where there are cards; empty blocks become as high as their rows would be.
  reserve() {
    const full = [...this.root.children].find((block) => block.childElementCount);
    if (!full) return;
    this.columns = getComputedStyle(full).gridTemplateColumns.split(" ").length;
    this.rowHeight = full.offsetHeight / Math.ceil(full.childElementCount / this.columns);
    for (const block of this.root.children) {
      if (block.childElementCount) continue;
      const cards = Math.min(BLOCK, this.list.length - Number(block.dataset.start));
      block.style.minHeight = `${Math.round(Math.ceil(cards / this.columns) * this.rowHeight)}px`;
    }
  }

  redraw(at) {
    const old = this.root.children[Math.floor(at / BLOCK)]?.children[at % BLOCK];
    old?.replaceWith(makeCard(this.list[at], at, this.list.length, this.actions));
  }

  // Where in the list the focus is; -1: nowhere.
  position() {
    const card = document.activeElement?.closest?.(".card");
    if (!card) return -1;
    return this.list.findIndex((p) => p.index === Number(card.dataset.p));
  }

  // The first card that can be seen, for the first key that is pressed.
  firstSeen() {
    const top = this.root.getBoundingClientRect().top;
    for (const card of this.root.querySelectorAll(".card")) {
      if (card.getBoundingClientRect().bottom > Math.max(top, 120)) {
        return Number(card.getAttribute("aria-posinset")) - 1;
      }
    }
    return 0;
  }

  focus(position) {
    const at = Math.min(Math.max(position, 0), this.list.length - 1);
    const block = this.root.children[Math.floor(at / BLOCK)];
    if (!block) return;
    this.fill(block);
    const card = block.children[at % BLOCK];
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  }

  move(key) {
    const at = this.position();
    if (at < 0) return this.focus(this.firstSeen());
    const step = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns,
      ArrowUp: -this.columns }[key];
    const next = at + step;
    if (next >= 0 && next < this.list.length) this.focus(next);
    return undefined;
  }
}
