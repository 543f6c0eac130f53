// A card: stage, tabs, caption.

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
    const evidence = currentEvidence(picture);
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
    const stage = makeStage(picture, entry, state, { view: currentView(), evidence });
    stage.addEventListener("click", (event) => {
      if (!event.target.closest("[data-e], .handle")) actions.open(picture);
    });
    if (tabs) panel.setAttribute("role", "tabpanel");
    const caption = captionOf(entry, state, evidence?.entities);
    panel.replaceChildren(...[stage, caption, evidenceLine(evidence)].filter(Boolean));
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
