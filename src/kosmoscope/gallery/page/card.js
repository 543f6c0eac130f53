// A card: stage, tabs, caption; and the links between phrases and boxes within it.

function phraseSpan(entity, least, query, text = entity.phrase) {
  const boxes = entity.boxes.length;
  const word = text || `box ${entity.n + 1}`;
  const scores = entity.boxes.map((b) => b.score).filter((s) => s !== null);
  const facts = [word, `number ${entity.n + 1}`, boxes ? plural(boxes, "box", "boxes") : "no box"];
  if (scores.length) facts.push(`score ${percent(Math.max(...scores))}`);
  const classes = ["phrase"];
  if (!boxes) classes.push("nowhere");
  if (!entityShown(entity, least)) classes.push("weak");
  if (entityFound(entity, query)) classes.push("found");
  const span = el(
    "span", { class: classes.join(" "), role: "button", tabindex: "0", "data-e": String(entity.n),
      "aria-pressed": "false", "aria-label": facts.join(", ") },
    el("bdi", { text: word }), el("sup", { text: String(entity.n + 1) }),
  );
  span.style.setProperty("--c", entity.colour);
  return span;
}

// The caption as text with phrases in it; phrases that are not a part of it stand behind.
function captionOf(entry, least, query) {
  const node = el("p", { class: "caption", dir: "auto" });
  const inside = entry.entities.filter((e) => e.start >= 0).sort((a, b) => a.start - b.start);
  const outside = entry.entities.filter((e) => e.start < 0);
  let at = 0;
  for (const entity of inside) {
    if (entity.start < at) {
      outside.push(entity);
      continue;
    }
    node.append(entry.caption.slice(at, entity.start), phraseSpan(entity, least, query));
    at = entity.end;
  }
  node.append(entry.caption.slice(at));
  if (!entry.caption) node.append(el("span", { class: "none", text: "No caption." }));
  if (entry.finish === "length") node.append(el("span", { class: "none", text: " … (cut off)" }));
  for (const entity of outside) node.append(" ", phraseSpan(entity, least, query));
  return node;
}

// Light entity `n` in everything under `root`; null: nothing.
function light(root, n, fromBox) {
  root.classList.toggle("linked", n !== null);
  root.classList.toggle("from-box", fromBox);
  for (const node of root.querySelectorAll("[data-e]")) {
    node.classList.toggle("on", n !== null && Number(node.dataset.e) === n);
  }
  for (const node of root.querySelectorAll("svg.boxes")) lightOverlay(node, n);
}

// Pointing goes before what was clicked, and that before what has the focus. Returns a function
// that forgets all three, for when the contents are new.
function link(root) {
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
    for (const other of root.querySelectorAll("[aria-pressed=true]")) {
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
    else if (now.pin) pin(null);
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

// One tab for each prompt; null for a single one. `choose(k)` shows entry k.
function tabsOf(picture, panelId, choose) {
  if (picture.entries.length < 2) return null;
  const list = el("div", { class: "tabs", role: "tablist", "aria-label": "Prompts" });
  picture.entries.forEach((entry, k) => {
    const chosen = k === picture.tab;
    const name = entry.prompt || `Prompt ${k + 1}`;
    const tab = el("button", { type: "button", role: "tab", "aria-selected": String(chosen), title: name,
      tabindex: chosen ? "0" : "-1", "aria-controls": panelId }, el("bdi", { text: name }));
    tab.addEventListener("click", (event) => {
      event.stopPropagation();
      choose(k);
    });
    list.append(tab);
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const count = picture.entries.length;
    choose((picture.tab + step + count) % count);
    event.preventDefault();
    event.stopPropagation();
  });
  return list;
}

function factsOf(picture, entry) {
  const facts = [`${picture.width} × ${picture.height}`, plural(entry.boxes, "box", "boxes")];
  if (entry.mean !== null) facts.push(`score ${percent(entry.mean)}`);
  return facts.join(" · ");
}

const expandIcon = () => svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
  svg("path", { d: "M14 5h5v5M19 5l-6 6M10 19H5v-5M5 19l6-6" }));

function makeCard(picture, position, count, actions) {
  const card = el("article", { class: "card", tabindex: "0", "data-p": String(picture.index),
    "aria-posinset": String(position + 1), "aria-setsize": String(count),
    "aria-labelledby": `name${picture.index}` });
  const panel = el("div", { class: "panel", id: `panel${picture.index}` });
  const fill = () => {
    const entry = picture.entries[picture.tab];
    const query = fold(state.query.trim());
    const open = el("button", { type: "button", class: "icon open", "aria-label": `Large view of ${picture.name}`,
      title: "Large view (Enter)" }, expandIcon());
    open.addEventListener("click", (event) => {
      event.stopPropagation();
      actions.open(picture);
    });
    const tabs = tabsOf(picture, panel.id, (k) => {
      picture.tab = k;
      fill();
      card.querySelector("[role=tab][aria-selected=true]").focus();
    });
    const stage = makeStage(picture, entry, { view: currentView(), least: state.least });
    stage.addEventListener("click", (event) => {
      if (!event.target.closest("[data-e], .handle")) actions.open(picture);
    });
    if (tabs) panel.setAttribute("role", "tabpanel");
    panel.replaceChildren(stage, captionOf(entry, state.least, query));
    card.replaceChildren(...[tabs].filter(Boolean), panel,
      el("footer", { class: "foot" },
        el("div", {},
          el("h2", { id: `name${picture.index}`, title: picture.name }, el("bdi", { text: picture.name })),
          el("p", { class: "facts", text: factsOf(picture, entry) })),
        open));
    forget();
  };
  const forget = link(card);
  fill();
  return card;
}
