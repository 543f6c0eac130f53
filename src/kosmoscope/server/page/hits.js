// What a search found: cards with the picture, the boxes that speak for it, and what was said of it.

import { request, sentence } from "./api.js";
import { el } from "./dom.js";
import { captionOf, link } from "./phrases.js";
import { makeStage } from "./stage.js";
import { fold, spokenRelation } from "./words.js";

const NOTHING_YET = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
const KEPT = 400; // thumbnails
const NEAR = "700px 0px";
const LOOK = { least: 0, masks: false, closer: true };
const STEPS = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 };

const pathOf = (id, px) => `/api/v1/search/pictures/${id}/image?px=${px}`;

// Tokens go with headers, which the address of an <img> has not: pictures come as blobs.
export async function pictureUrl(id, px) {
  const answer = await request(pathOf(id, px), { cache: "default" });
  return URL.createObjectURL(await answer.blob());
}

// A hit, in the form that the stage is made from: its evidence as phrases with boxes.
export function pictureOf(hit) {
  const entities = [];
  const boxes = new Set();
  const add = (phrase, xyxy) => {
    let entity = entities.find((one) => one.phrase === phrase);
    if (!entity) {
      const start = hit.caption.indexOf(phrase);
      entity = { n: entities.length, colour: hit.colours[phrase], phrase, key: fold(phrase), score: null, start,
        end: start + phrase.length, cut: false, mask: "", boxes: [] };
      entities.push(entity);
    }
    if (!xyxy) return;
    const [x1, y1, x2, y2] = xyxy;
    if (entity.boxes.some((box) => box.x1 === x1 && box.y1 === y1 && box.x2 === x2 && box.y2 === y2)) return;
    const box = { x1, y1, x2, y2, score: null, further: false };
    entity.boxes.push(box);
    boxes.add(box);
  };
  const lines = hit.evidence.map(({ phrase, box, relation, other_phrase: other, other_box: otherBox }) => {
    if (phrase) add(phrase, box);
    if (other) add(other, otherBox);
    return [phrase, other].filter(Boolean).join(` ${spokenRelation(relation)} `);
  });
  return {
    hit, id: hit.picture_id, name: hit.source.split(/[\\/]/).at(-1),
    thumb: hit.picture_id ? NOTHING_YET : "", href: "", problem: "The results do not say which file it was.",
    width: hit.width ?? 4, height: hit.height ?? 3,
    entry: { caption: hit.caption, entities, finish: "stop" },
    evidence: { chance: hit.probability, lines: lines.filter(Boolean), boxes, entities: new Set(entities) },
  };
}

export class Hits {
  // `open(hit)`: look at it; `why(picture)`: an element that says what speaks for it, or null.
  constructor(root, { open, why }) {
    Object.assign(this, { root, open, why, urls: new Map(), last: null, focusFirst: false });
    this.observer = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) if (isIntersecting) this.fetch(target);
    }, { rootMargin: NEAR });
    root.addEventListener("keydown", (event) => this.onKey(event));
  }

  // `more`: those that are there stay, and others come behind them.
  show(pictures, more) {
    const kept = more ? this.root.childElementCount : 0;
    if (!more) {
      this.observer.disconnect();
      this.last = null;
    }
    const cards = pictures.slice(kept).map((picture, i) => this.card(picture, kept + i, pictures.length));
    if (more) this.root.append(...cards);
    else this.root.replaceChildren(...cards);
    for (const card of cards) this.observer.observe(card);
    if (this.focusFirst || more) cards[0]?.focus();
    this.focusFirst = false;
  }

  card(picture, position, count) {
    const title = `hit${position}`;
    const card = el("article", { class: "card", tabindex: "0", "aria-labelledby": title,
      "aria-posinset": String(position + 1), "aria-setsize": String(count) });
    card.picture = picture;
    const stage = makeStage(picture, picture.entry, LOOK, { view: "overlay", evidence: picture.evidence });
    const look = () => {
      this.last = card;
      this.open(picture.hit);
    };
    const button = el("button", { type: "button", class: "push small", text: "Look", "aria-label": `Look at ${picture.name}`,
      disabled: !picture.id });
    button.addEventListener("click", look);
    stage.addEventListener("click", (event) => {
      if (picture.id && !event.target.closest("[data-e]")) look();
    });
    card.look = look;
    const parts = [stage, captionOf(picture.entry, LOOK, picture.evidence.entities), this.why(picture),
      el("footer", { class: "foot" },
        el("h3", { id: title, title: picture.hit.source }, el("bdi", { text: picture.name })), button)];
    card.append(...parts.filter(Boolean));
    link(card);
    return card;
  }

  // Its thumbnail, once it is near the window.
  async fetch(card) {
    this.observer.unobserve(card);
    const { picture } = card;
    if (!picture.id) return;
    try {
      if (!this.urls.has(picture.id)) this.keep(picture.id, await pictureUrl(picture.id, 640));
      card.querySelector("img").src = this.urls.get(picture.id);
    } catch (error) {
      Object.assign(picture, { thumb: "", id: null, problem: sentence(error) });
      card.replaceWith(this.card(picture, Number(card.ariaPosInSet) - 1, Number(card.ariaSetSize)));
    }
  }

  keep(id, url) {
    this.urls.set(id, url);
    if (this.urls.size <= KEPT) return;
    const [[oldest, its]] = this.urls;
    this.urls.delete(oldest);
    URL.revokeObjectURL(its);
  }

  focusLast() {
    this.last?.focus({ preventScroll: true });
    this.last?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const card = event.target;
    if (card.parentElement !== this.root) return; // something inside a card
    if (event.key === "Enter" && card.picture.id) card.look();
    else if (STEPS[event.key]) {
      const next = STEPS[event.key] > 0 ? card.nextElementSibling : card.previousElementSibling;
      next?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
