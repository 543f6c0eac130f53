// Search: questions about all pictures of a folder of results. The server answers them.

import { evidenceLine, nearestText, readingOf } from "./answer.js";
import { request, sentence } from "./api.js";
import { el } from "./dom.js";
import { Hits, pictureOf } from "./hits.js";
import { fold, plural } from "./words.js";

const STEP = 24; // pictures at a time
const MOST = 1000; // as the server says
const PAUSE_MS = 160; // without a letter
const EXAMPLES = 5;

const $ = (id) => document.getElementById(id);

// The question in the address; null: it is no address of a search.
function addressed() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return hash.has("search") ? hash.get("search").slice(0, $("query").maxLength) : null;
}

export class Search {
  // `open(hit)`: look at it; `changed()`: it is shown now, or no longer.
  constructor({ open, changed }) {
    Object.assign(this, { changed, there: false, shown: false, asked: null, limit: STEP, control: null, pause: 0 });
    this.hits = new Hits($("hits"), { open, why: (picture) => (this.asked ? evidenceLine(picture.evidence) : null) });
    $("query").addEventListener("input", () => {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.ask(), PAUSE_MS);
    });
    $("finder").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
      if ($("query").value) this.hits.focusFirst = true;
    });
    $("more").addEventListener("click", () => this.ask(this.limit + STEP));
    $("search-open").addEventListener("click", () => (this.shown ? this.leave() : this.enter()));
    addEventListener("popstate", () => this.follow());
  }

  // Learn what there is to search; without a folder of results there stays no trace of a search.
  async begin() {
    const { pictures, suggestions } = await (await request("/api/v1/search")).json();
    if (pictures === null) return;
    this.there = true;
    $("search-open").hidden = $("search-help").hidden = $("search-welcome").hidden = false;
    $("search-welcome").textContent = `or search ${plural(pictures, "picture")} described before`;
    $("search-welcome").addEventListener("click", () => this.enter());
    $("suggestions").replaceChildren(...suggestions.map((value) => el("option", { value })));
    if (suggestions.length) $("query").placeholder = `Search: ${suggestions[0]}`;
    $("examples").replaceChildren(...suggestions.slice(0, EXAMPLES).map((text) => this.example(text)));
    this.follow();
  }

  example(text) {
    const button = el("button", { type: "button", class: "push small" }, el("bdi", { text }));
    button.addEventListener("click", () => {
      $("query").value = text;
      $("query").focus();
      this.ask();
    });
    return el("li", {}, button);
  }

  // Where the address says: after Back, and with a bookmark.
  follow() {
    const text = addressed();
    if (!this.there || text === null) {
      if (this.shown) this.show(false);
      return;
    }
    $("query").value = text;
    this.show(true);
  }

  enter() {
    history.pushState(null, "", this.address());
    this.show(true);
    if (!this.hits.last) $("query").focus();
  }

  leave() {
    if (!this.shown) return;
    history.pushState(null, "", location.pathname);
    this.show(false);
  }

  show(on) {
    this.shown = on;
    this.changed();
    if (on && this.asked !== $("query").value.trim()) this.ask();
    else if (on) this.hits.focusLast();
  }

  address() {
    return `#${new URLSearchParams({ search: $("query").value.trim() })}`;
  }

  async ask(limit = STEP) {
    clearTimeout(this.pause);
    this.control?.abort();
    const control = this.control = new AbortController();
    const question = $("query").value.trim();
    if (this.shown) history.replaceState(null, "", this.address());
    try {
      const answer = await (await request("/api/v1/search", {
        method: "POST", signal: control.signal, headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ question, limit: Math.min(limit, MOST) }),
      })).json();
      this.fill(question, answer, limit);
    } catch (error) {
      if (error.name === "AbortError") return;
      $("count").textContent = "";
      this.none(sentence(error));
    }
  }

  fill(question, answer, limit) {
    const more = question === this.asked && limit > this.limit;
    Object.assign(this, { asked: question, limit });
    const { hits, nearest, total, pictures, read_as: said, notes } = answer;
    $("count").textContent = total === pictures ? plural(total, "picture") : `${total} of ${plural(pictures, "picture")}`;
    const asked = question && { text: fold(question), said, query: { notes } };
    $("reading").replaceChildren(...readingOf(asked, { found: [], likely: 0 }));
    $("examples").hidden = question !== "";
    $("more").hidden = hits.length >= Math.min(total, MOST);
    $("none").hidden = hits.length > 0;
    const shown = (hits.length ? hits : nearest).map((hit) => pictureOf(hit));
    if (!hits.length) {
      const words = pictures ? "No picture matches well enough. " : "There are no pictures yet.";
      this.none(words, ...(shown.length ? nearestText({ name: shown[0].name, chance: shown[0].evidence.chance }) : []));
    }
    this.hits.show(shown, more);
  }

  none(...words) {
    $("none").hidden = false;
    $("none-text").replaceChildren(...words);
  }
}
