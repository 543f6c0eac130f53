// Everything together: pictures come in, questions go out, answers are shown as they come.

import { answerOf, earlierOf, namesOf, stripOf, textOf } from "./answers.js";
import { keepToken, onTokenNeeded, post, request, sentence } from "./api.js";
import { ask, loaded, reader } from "./asking.js";
import { Boxing } from "./boxing.js";
import { pictureOf, pictureUrl } from "./hits.js";
import { listen } from "./intake.js";
import { readLabels } from "./labels.js";
import { link } from "./phrases.js";
import { copy, jsonOf, save } from "./saving.js";
import { Search } from "./search.js";
import { WISHES, answered, foundPicture, makeEntry, makePicture, measure } from "./session.js";
import { darkSystem, setTheme, storedTheme, toggleTheme } from "./theme.js";
import { View } from "./view.js";
import { percent, plural } from "./words.js";

const $ = (id) => document.getElementById(id);

const look = { least: 0, masks: false, closer: true };
const pictures = [];
let current = null;
let running = null; // the AbortController of the answer under way

const entryNow = () => current?.entries[current.at] ?? null;

// For those who hear the page: one thing after another, each once.
let saying = 0;
function say(text) {
  $("said").textContent = "";
  clearTimeout(saying);
  saying = setTimeout(() => { $("said").textContent = text; }, 60);
}

function refuse(text) {
  $("refused").textContent = text;
  $("refused").hidden = !text;
  if (text) $("refused").scrollIntoView({ block: "nearest" });
}

const boxing = new Boxing({
  say,
  changed(box) {
    current.box = box;
    boxed();
  },
  refer: () => wish(WISHES.refer(current.box)),
});
const view = new View({
  place: $("stage"), root: $("work"), look, boxing,
  point(id) {
    for (const row of document.querySelectorAll("[data-label]")) {
      row.classList.toggle("on", id !== null && row.dataset.label === String(id));
    }
  },
});
const forget = link($("work"));
const search = new Search({ open: openFound, changed: showAll });

// --- showing

function boxed() {
  const box = current?.box ?? null;
  $("draw").setAttribute("aria-pressed", String(Boolean(box) || boxing.armed));
  const asks = document.forms.composer.elements.kind.value === "ask";
  $("send").textContent = asks ? "Ask" : "Find";
  $("boxed").hidden = !box || !asks;
  $("text-label").textContent = asks ? `A question about the ${box ? "box" : "picture"}` : "A phrase to find";
  $("text").placeholder = asks ? "What is this?" : "the sky";
}

function showAnswer() {
  const entry = entryNow();
  const had = $("answer").contains(document.activeElement);
  $("answer").replaceChildren(...(entry ? answerOf(entry, look, { stop, again: () => wish(entry) }) : []));
  if (had) $("work").focus({ preventScroll: true }); // what had the focus is gone, such as Stop
  showNames();
  $("earlier").replaceChildren(...(current ? earlierOf(current, choose) : []));
  for (const part of document.querySelectorAll("#take button")) part.disabled = !entry?.result;
  for (const verb of ["brief", "detailed"]) {
    const on = entry?.verb === "describe" && entry.fields.prompt === verb;
    $(verb).setAttribute("aria-pressed", String(on));
  }
}

function showNames() {
  const entry = entryNow();
  $("names").replaceChildren(...(entry?.result ? namesOf(entry, look, (id) => view.heat(id)) : []));
}

function showAll() {
  const { shown } = search;
  $("finding").hidden = !shown;
  $("search-open").setAttribute("aria-pressed", String(shown));
  $("welcome").hidden = Boolean(current) || shown;
  $("work").hidden = !current || shown;
  $("new").hidden = !current;
  if (!current || shown) return;
  view.show(current, entryNow());
  forget();
  showAnswer();
  boxed();
  $("strip-nav").hidden = pictures.length < 2;
  $("strip").replaceChildren(...stripOf(pictures, current, go));
}

function choose(at) {
  stop();
  current.at = at;
  current.box = entryNow().box ?? null;
  boxing.show(current.box);
  showAll();
  label();
  $("work").focus({ preventScroll: true });
  say(`${entryNow().title}: ${entryNow().caption}`);
}

function go(picture) {
  stop();
  current = picture;
  showAll();
  label();
  $("strip").querySelector("[aria-current]")?.focus({ preventScroll: true });
  say(`${picture.name}: ${entryNow()?.caption ?? ""}`);
  // The next picture came before this one's turn was over.
  if (!picture.entries.some((entry) => entry.result)) wish(WISHES.brief());
}

// --- asking

function stop() {
  running?.abort();
}

async function wish(wanted) {
  const picture = current;
  const before = answered(picture, wanted);
  if (before >= 0) {
    choose(before);
    return;
  }
  refuse("");
  stop();
  const control = new AbortController();
  running = control;
  const entry = makeEntry(wanted);
  picture.entries = picture.entries.filter((one) => one.result || one.caption);
  picture.entries.push(entry);
  picture.at = picture.entries.length - 1;
  if (!wanted.box) boxing.set(null);
  showAll();
  say("Looking");
  const read = reader(say);
  const began = performance.now();
  try {
    await ask(picture, entry, control.signal, (what) => {
      if (what === "text") read(entry.caption);
      if (entry !== entryNow()) return;
      if (what === "entity") view.show(picture, entry);
      $("answer").querySelector(".caption")?.replaceWith(textOf(entry, look));
    });
    entry.seconds = (performance.now() - began) / 1000;
    const { width, height } = entry.result.image;
    if (!picture.thumb) Object.assign(picture, { width, height });
    const boxes = entry.entities.reduce((n, e) => n + e.boxes.length, 0);
    read(`${entry.caption} (${plural(boxes, "box", "boxes")})`, true);
  } catch (error) {
    if (error.name === "AbortError") entry.finish = "stopped";
    else entry.error = sentence(error);
  }
  entry.busy = false;
  if (running === control) running = null;
  if (entry !== entryNow()) return;
  showAll();
  await label();
}

// Names for all pixels of the answer that is shown, if they are wanted.
async function label() {
  const [picture, entry] = [current, entryNow()];
  if (!look.masks || !entry?.result || entry.labels || entry.labelling) return;
  entry.labelling = true;
  entry.maskError = "";
  showNames();
  try {
    const answer = await post("segment", picture, { description: entry.result, regions: true });
    entry.labels = readLabels(await answer.json(), entry.entities);
    say(entry.labels.names.filter((n) => n.kind !== "rest" && n.entity !== null).map((n) => n.phrase).join(", "));
  } catch (error) {
    entry.maskError = sentence(error);
  }
  entry.labelling = false;
  if (entry !== entryNow()) return;
  view.redraw();
  forget();
  showNames();
}

async function take(file, name) {
  refuse("");
  stop();
  const picture = makePicture(file, name);
  pictures.push(picture);
  lookAt(picture);
  const answer = wish(WISHES.brief()); // on its way while the browser reads the file, too
  await measure(picture);
  view.forget(picture);
  if (picture === current) showAll();
  await answer;
}

function lookAt(picture) {
  current = picture;
  search.leave();
  showAll();
  $("work").focus({ preventScroll: true });
  scrollTo({ top: 0 });
}

// A picture that was searched for: what was said of it before is there at once, and more can be asked.
async function openFound(hit) {
  refuse("");
  stop();
  const known = pictures.find(({ id, file }) => !file && id === hit.picture_id);
  try {
    const picture = known ?? await found(hit);
    if (!known) pictures.push(picture);
    lookAt(picture);
    say(`${picture.name}: ${entryNow().caption}`);
  } catch (error) {
    refuse(sentence(error));
  }
}

async function found(hit) {
  const [thumb, said] = await Promise.all([
    pictureUrl(hit.picture_id, 2048),
    request(`/api/v1/search/pictures/${hit.picture_id}`).then((answer) => answer.json()),
  ]);
  return foundPicture(pictureOf(hit), thumb, said.descriptions);
}

// --- what can be done

function redraw() {
  if (!current) return;
  view.redraw();
  forget();
  showAnswer();
}

function toggleMasks() {
  if (!current) return;
  look.masks = !look.masks;
  $("masks").setAttribute("aria-pressed", String(look.masks));
  redraw();
  label();
}

const coarse = matchMedia("(pointer: coarse)");
function toggleDraw() {
  if (!current) return;
  if (current.box) boxing.set(null);
  else if (coarse.matches && !boxing.armed) {
    boxing.arm(true);
    say("Draw a box with a finger");
  } else if (boxing.armed) boxing.arm(false);
  else boxing.begin();
  boxed();
}

async function takeAway(button) {
  const [picture, entry] = [current, entryNow()];
  const { copy: kind, save: file } = button.dataset;
  const lit = view.lit;
  $("take").open = false;
  $("take").querySelector("summary").focus();
  refuse("");
  try {
    if (kind) await copy(kind === "json" ? jsonOf(picture, entry) : entry.caption);
    else await save(file, picture, entry, { entity: lit, least: look.least });
    say(kind ? "Copied" : "Saved");
    if (kind) flash("Copied");
  } catch (error) {
    refuse(sentence(error));
  }
}

function flash(text) {
  const summary = $("take").querySelector("summary");
  const before = "Save";
  summary.textContent = text;
  setTimeout(() => { summary.textContent = before; }, 1400);
}

$("brief").addEventListener("click", () => wish(WISHES.brief()));
$("detailed").addEventListener("click", () => wish(WISHES.detailed()));
$("kind").addEventListener("change", boxed);
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return $("text").focus();
  const { value } = document.forms.composer.elements.kind;
  wish(value === "find" ? WISHES.find(text) : WISHES.ask(text, current.box));
  $("text").value = "";
  return undefined;
});
$("masks").addEventListener("click", toggleMasks);
$("draw").addEventListener("click", toggleDraw);
let pending = 0;
$("score").addEventListener("input", () => {
  look.least = Number($("score").value) / 100;
  $("score-out").textContent = look.least ? percent(look.least) : "any";
  cancelAnimationFrame(pending);
  pending = requestAnimationFrame(redraw);
});
for (const button of document.querySelectorAll("#take button")) button.addEventListener("click", () => takeAway(button));
$("take").addEventListener("toggle", () => {
  const entity = view.lit === null ? null : entryNow()?.entities[view.lit];
  $("cutout").textContent = entity ? `Cut-out of “${entity.phrase}”, PNG` : "Cut-out, PNG";
});
addEventListener("pointerdown", (event) => {
  if (!$("take").contains(event.target)) $("take").open = false;
});
$("theme").addEventListener("click", toggleTheme);
darkSystem.addEventListener("change", () => setTheme(storedTheme(), false));
$("help-open").addEventListener("click", () => $("help").showModal());
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $(search.shown ? "finding" : current ? "work" : "main").focus();
});

const KEYS = {
  "?": () => $("help").showModal(),
  d: toggleTheme,
  n: () => $("file").click(),
  m: () => !search.shown && toggleMasks(),
  b: () => current && !search.shown && boxing.begin(),
  s: () => search.there && $("search-open").click(),
  "/": () => (search.shown ? $("query").focus() : current && $("text").focus()),
};
addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if ($("take").open) {
      $("take").open = false;
      $("take").querySelector("summary").focus();
    } else if (running) stop();
    else if (current?.box) boxing.set(null);
    return;
  }
  if (event.target.matches("input[type=text], input[type=password], input[type=search]")) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

onTokenNeeded((wrong) => new Promise((done) => {
  $("token-text").textContent = wrong ? "That was not the right one. It was printed where the server was started."
    : "It was printed where the server was started.";
  $("token").value = "";
  $("ask-token").returnValue = "";
  $("ask-token").addEventListener("close", () => {
    const given = $("ask-token").returnValue === "ok";
    if (given) keepToken($("token").value.trim());
    done(given);
  }, { once: true });
  $("ask-token").showModal();
}));

async function greet() {
  try {
    if ((await fetch("/health")).status === 503) $("model").textContent = "The model is loading…";
    await loaded();
    const { data } = await (await request("/v1/models")).json();
    await search.begin();
    $("model").textContent = `${data[0].id} is looking`;
  } catch (error) {
    $("model").textContent = "Look, point and ask";
    refuse(sentence(error));
  }
}

setTheme(storedTheme(), false);
listen(take, refuse);
greet();
