// What the visitor chose; the address holds it, so that it can be saved and sent.

const VIEWS = ["side", "slider", "overlay"];
const narrow = matchMedia("(max-width: 640px)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = { query: "", least: 0, sort: "", reverse: false, view: "", masks: true, closer: true, open: "", tab: 0 };

// On a phone two pictures side by side are two small ones.
const defaultView = () => (narrow.matches ? "slider" : "side");
const currentView = () => state.view || defaultView();

// The question that is asked, null for none; read once.
let asked = null;
function currentQuestion() {
  const text = state.query.trim();
  if (asked?.of !== text) asked = { of: text, question: text ? new Question(text, meanings) : null };
  return asked.question;
}
const currentEvidence = (picture) => currentQuestion()?.evidence(picture, state) ?? null;

// What matches best comes first where something is asked for.
const defaultSort = () => (currentQuestion() ? "match" : "name");
const currentSort = () => (state.sort === "match" && !currentQuestion() ? "" : state.sort) || defaultSort();

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const least = Number(hash.get("min") ?? 0);
  state.query = (hash.get("q") ?? "").slice(0, 200);
  state.least = least >= 0 && least <= 1 ? least : 0;
  state.sort = Object.hasOwn(SORTS, hash.get("sort") ?? "") ? hash.get("sort") : "";
  state.reverse = hash.get("reverse") === "1";
  state.view = VIEWS.includes(hash.get("view")) ? hash.get("view") : "";
  state.masks = hash.get("masks") !== "0";
  state.closer = hash.get("closer") !== "0";
  state.open = hash.get("picture") ?? "";
  state.tab = Math.max(0, Math.trunc(Number(hash.get("tab") ?? 0)) || 0);
}

function hashOf() {
  const hash = new URLSearchParams();
  if (state.query) hash.set("q", state.query);
  if (state.least) hash.set("min", String(state.least));
  if (state.sort) hash.set("sort", state.sort);
  if (state.reverse) hash.set("reverse", "1");
  if (state.view) hash.set("view", state.view);
  if (!state.masks) hash.set("masks", "0");
  if (!state.closer) hash.set("closer", "0");
  if (state.open) hash.set("picture", state.open);
  if (state.open && state.tab) hash.set("tab", String(state.tab));
  return hash.toString();
}

// `step`: a step that the browser's Back button takes back.
function writeHash(step = false) {
  const text = hashOf();
  if (text === location.hash.slice(1)) return;
  if (step) location.hash = text;
  else history.replaceState(null, "", `#${text}`);
}
