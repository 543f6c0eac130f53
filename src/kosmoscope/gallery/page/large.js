// The large view: one picture over the whole window, its phrases as a list with scores.

class Large {
  constructor(dialog, actions) {
    this.dialog = dialog;
    this.actions = actions;
    this.picture = null;
    dialog.addEventListener("close", () => {
      if (dialog.open) return; // the event is late, and the next picture is open already
      const { picture } = this;
      this.picture = null;
      dialog.replaceChildren();
      actions.closed(picture);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // the backdrop
    });
    // Escape first lets go of a phrase that was clicked; `link` has then prevented the default.
    dialog.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("[role=slider], [role=tab]")) return;
    const step = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    this.step(step);
  }

  step(by) {
    const next = this.actions.neighbour(this.picture, by);
    if (next) this.actions.open(next);
  }

  open(picture) {
    this.picture = picture;
    this.fill();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".inner").focus({ preventScroll: true });
  }

  fill() {
    const { picture, dialog } = this;
    const entry = picture.entries[picture.tab];
    const evidence = currentEvidence(picture);
    const stage = makeStage(picture, entry, state, { view: currentView(), large: true, evidence });
    const side = this.side(entry, evidence);
    const inner = el("div", { class: "inner", tabindex: "-1" }, this.head(), stage, side);
    link(inner);
    dialog.replaceChildren(inner);
  }

  head() {
    const { picture } = this;
    const button = (label, title, path, act, off) => {
      const node = el("button", { type: "button", class: "icon", "aria-label": label, title, disabled: off },
        svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })));
      node.addEventListener("click", act);
      return node;
    };
    const none = (by) => !this.actions.neighbour(picture, by);
    return el("header", { class: "head" },
      el("h2", { id: "large-name" }, el("bdi", { text: picture.name })),
      el("span", { class: "where", text: this.actions.where(picture) }),
      button("Previous picture", "Previous (k)", "M15 5l-7 7 7 7", () => this.step(-1), none(-1)),
      button("Next picture", "Next (j)", "M9 5l7 7-7 7", () => this.step(1), none(1)),
      button("Close", "Close (Esc)", "M6 6l12 12M18 6 6 18", () => this.dialog.close(), false));
  }

  side(entry, evidence) {
    const { picture } = this;
    const tabs = tabsOf(picture, "large-panel", (k) => {
      picture.tab = k;
      this.actions.open(picture);
      this.dialog.querySelector("[role=tab][aria-selected=true]").focus();
    });
    const panel = el("div", { id: "large-panel", role: tabs ? "tabpanel" : null },
      captionOf(entry, state, evidence?.entities), evidenceLine(evidence), phraseList(entry, state));
    return el("div", { class: "side-panel" }, tabs, panel, this.facts(entry));
  }

  facts(entry) {
    const { picture } = this;
    const list = el("dl", { class: "about" });
    const add = (term, ...value) => list.append(el("div", {}, el("dt", { text: term }), el("dd", {}, ...value)));
    add("Prompt", el("bdi", { text: entry.prompt || "none" }));
    add("Model", el("bdi", { text: entry.model }));
    add("Size", `${picture.width} × ${picture.height}`);
    const ends = { length: "at the longest length allowed", cancelled: "cancelled" };
    if (ends[entry.finish]) add("Ended", ends[entry.finish]);
    for (const note of entry.notes) add("Note", el("bdi", { text: note }));
    if (picture.href) {
      add("File", el("a", { href: picture.href, target: "_blank", rel: "noopener", text: "open the original" }));
    }
    return list;
  }
}
