// Everything together: the tools above the pictures, the keys, the address.

const $ = (id) => document.getElementById(id);

function start(pictures) {
  let shown = [];
  let nearest = null;
  const byId = new Map(pictures.map((p) => [p.id, p]));
  const actions = {
    open(picture) {
      const step = !state.open;
      state.open = picture.id;
      state.tab = picture.tab;
      large.open(picture);
      writeHash(step);
    },
    closed(picture) {
      state.open = "";
      state.tab = 0;
      writeHash();
      const at = shown.indexOf(picture);
      if (at < 0) return;
      feed.redraw(at); // it may show another tab now
      feed.focus(at);
    },
    neighbour: (picture, by) => shown[shown.indexOf(picture) + by] ?? null,
    where(picture) {
      const at = shown.indexOf(picture);
      return at < 0 ? "" : `${at + 1} of ${shown.length}`;
    },
  };
  const feed = new Feed($("feed"), actions);
  const large = new Large($("large"), actions);

  // Filter, sort and draw anew.
  function refresh() {
    const question = currentQuestion();
    const answer = question && ask(question, pictures, state);
    shown = sorted(answer?.found ?? filtered(pictures, state), currentSort(), state.reverse);
    feed.show(shown);
    const all = shown.length === pictures.length;
    $("count").textContent = all ? plural(shown.length, "picture") : `${shown.length} of ${plural(pictures.length, "picture")}`;
    $("reading").replaceChildren(...readingOf(question, answer));
    $("empty").hidden = shown.length > 0;
    nearest = answer?.nearest ?? null;
    const matches = nearest ? "No picture matches well enough." : "No picture matches.";
    $("empty-text").textContent = pictures.length ? matches : "There are no pictures yet.";
    $("nearest").hidden = nearest === null;
    if (nearest) $("nearest-text").replaceChildren(...nearestText(nearest));
    $("reset").hidden = !pictures.length;
    if (large.picture) large.fill();
  }

  function toControls() {
    $("query").value = state.query;
    $("score").value = String(Math.round(state.least * 100));
    $("score-out").textContent = state.least ? percent(state.least) : "any";
    $("sort").value = currentSort();
    $("sort-match").disabled = !currentQuestion();
    $("reverse").setAttribute("aria-pressed", String(state.reverse));
    $("masks").setAttribute("aria-pressed", String(state.masks));
    $("closer").setAttribute("aria-pressed", String(state.closer));
    for (const radio of document.getElementsByName("view")) radio.checked = radio.value === currentView();
  }

  function change(values) {
    Object.assign(state, values);
    toControls();
    writeHash();
    refresh();
  }

  function fromHash() {
    readHash();
    toControls();
    const picture = byId.get(state.open);
    if (picture && state.tab < picture.entries.length) picture.tab = state.tab;
    refresh();
    if (picture) large.open(picture);
    else if ($("large").open) $("large").close();
    if (!picture) state.open = "";
  }

  let pending = 0;
  const soon = (values) => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => change(values));
  };
  $("query").addEventListener("input", (event) => soon({ query: event.target.value }));
  $("score").addEventListener("input", (event) => soon({ least: Number(event.target.value) / 100 }));
  $("sort").addEventListener("change", ({ target: { value } }) => {
    change({ sort: value === defaultSort() ? "" : value });
  });
  $("nearest-open").addEventListener("click", () => actions.open(nearest));
  $("reverse").addEventListener("click", () => change({ reverse: !state.reverse }));
  $("masks").hidden = !META.masks;
  $("masks-help").hidden = !META.masks;
  $("masks").addEventListener("click", () => change({ masks: !state.masks }));
  $("closer").hidden = !META.closer;
  $("closer-help").hidden = !META.closer;
  $("closer").addEventListener("click", () => change({ closer: !state.closer }));
  $("views").addEventListener("change", (event) => change({ view: event.target.value }));
  $("reset").addEventListener("click", () => change({ query: "", least: 0 }));
  $("tools").addEventListener("submit", (event) => event.preventDefault());
  $("theme").addEventListener("click", toggleTheme);
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address is ours
    if (shown.length) feed.focus(0);
  });
  darkSystem.addEventListener("change", () => setTheme(storedTheme(), false));
  narrow.addEventListener("change", () => {
    if (state.view) return;
    toControls();
    refresh();
  });
  addEventListener("hashchange", () => {
    if (hashOf() !== location.hash.slice(1)) fromHash();
  });

  const everywhere = {
    "?": () => $("help").showModal(),
    d: toggleTheme,
    m: () => META.masks && change({ masks: !state.masks }),
    o: () => META.closer && change({ closer: !state.closer }),
    1: () => change({ view: VIEWS[0] }),
    2: () => change({ view: VIEWS[1] }),
    3: () => change({ view: VIEWS[2] }),
  };
  const onPage = {
    "/": () => $("query").focus(),
    r: () => change({ reverse: !state.reverse }),
    Enter: () => feed.position() >= 0 && actions.open(shown[feed.position()]),
    Escape: () => (state.query || state.least) && change({ query: "", least: 0 }),
  };
  for (const key of ["j", "k", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) {
    onPage[key] = () => feed.move(key);
  }
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if ($("help").open) return;
    if (target.matches("input[type=search], select")) {
      if (key === "Escape" && !target.value) target.blur();
      return;
    }
    if (target.matches("input") && key.startsWith("Arrow")) return;
    // A list of keys that a control of its own answers to.
    if (target.matches("button, a, [role=tab]") && (key === "Enter" || key === " ")) return;
    // Scrolling stays with the arrow keys until a card has the focus.
    if (key.startsWith("Arrow") && feed.position() < 0) return;
    const act = everywhere[key] ?? ($("large").open ? undefined : onPage[key]);
    if (!act) return;
    event.preventDefault();
    act();
  });

  const total = (of) => pictures.reduce((n, p) => n + p.entries.reduce((m, e) => m + of(e), 0), 0);
  const phrases = plural(total((e) => e.entities.length), "phrase");
  $("facts").textContent = `${plural(pictures.length, "picture")}, ${phrases}, ${plural(total((e) => e.boxes), "box", "boxes")}`;
  const examples = exampleQuestions(pictures, meanings);
  if (examples.length) $("query").placeholder = `Search: ${examples[0]}`;
  $("phrases").append(
    ...[...examples, ...frequentPhrases(pictures, 60)].map((value) => el("option", { value })),
  );
  const models = META.models.filter(Boolean).join(", ");
  $("end").textContent = `${models ? `Described by ${models}. ` : ""}Made with kosmoscope ${META.version}.`;
  fromHash();
  // What the first question would have to wait for.
  let ready = 0;
  const prepare = (deadline) => {
    while (ready < pictures.length && deadline.timeRemaining() > 2) recordOf(pictures[ready++], state);
    if (ready < pictures.length) requestIdleCallback(prepare);
  };
  globalThis.requestIdleCallback?.(prepare);
}

setTheme(storedTheme(), false);
function begin() {
  const pictures = readAll();
  if (pictures) return start(pictures);
  $("empty").hidden = false;
  $("reset").hidden = true;
  $("empty-text").textContent = "The folder “data” beside this page is missing or of another gallery. Copy the whole folder, or build the gallery again.";
  return undefined;
}
// Files of data are deferred: they have run when the document is ready.
if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
else begin();
