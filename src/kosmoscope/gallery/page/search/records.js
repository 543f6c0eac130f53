// What is known of a picture, as the record that questions are asked of: the rows that
// kosmoscope/gallery/seen.py writes, and what kosmoscope/questions/known.py reads from texts.

import { boxShown, entityShown } from "../scores.js";
import { COLOURS } from "./drafts.js";
import { headNoun, singularOf } from "./nouns.js";
import { LANGUAGE } from "./tables.js";
import { spelled, wordsOf } from "./tokens.js";

const { said: SAID, scale: SCALE, anything: UNNAMED } = LANGUAGE.rules;
const COLOUR_NAMES = [...new Set(COLOURS.values())];

const remembered = (read) => {
  const known = new Map();
  return (text) => {
    if (!known.has(text)) known.set(text, read(text));
    return known.get(text);
  };
};
const oneOf = remembered((word) => singularOf(word));
const singularWords = (text) => wordsOf(text).map(oneOf);
const readPhrase = remembered((phrase) => {
  const words = singularWords(phrase);
  return { noun: words.length ? headNoun(spelled(phrase)) : UNNAMED, words };
});
const readColours = remembered((bits) => COLOUR_NAMES.filter((_, i) => bits >> i & 1));

// A thing, with the entity and the box that it is, null for none.
function readThing(row, picture) {
  if (typeof row === "string") {
    return { noun: row, words: [row], probability: SAID, box: null, colours: [], number: 1,
      entity: null, from: null };
  }
  const [k, n, i, probability, colours = 0, number = 1, ...corners] = row;
  const entity = picture.entries[k].entities[n];
  const from = entity.boxes[i] ?? null;
  const drawn = from && [from.x1, from.y1, from.x2, from.y2].map((v) => Math.round(v * SCALE));
  return { ...readPhrase(entity.phrase), probability: probability / SCALE,
    box: corners.length ? corners : drawn, colours: readColours(colours), number,
    entity, from };
}

function thingShown({ entity, from, probability }, look) {
  if (!entity) return probability >= look.least;
  return from ? boxShown(entity, from, look) : entityShown(entity, look);
}

class PictureRecord {
  constructor(picture) {
    this.picture = picture;
    this.things = picture.things.map((row) => readThing(row, picture));
    this.folder = spelled(picture.name.split("/").slice(0, -1).join("/"));
    this.taken = picture.taken || null;
  }

  // Few questions ask for them.
  get words() {
    this.said ??= new Set(this.picture.entries.flatMap(({ prompt, caption, entities }) => [
      ...singularWords(caption.startsWith(prompt) ? caption.slice(prompt.length) : caption),
      ...entities.flatMap(({ phrase }) => singularWords(phrase)),
    ]));
    return this.said;
  }

  // The same, of what is to be shown alone.
  shown(look) {
    if (look.least === 0 && look.closer) return this;
    const things = this.things.filter((thing) => thingShown(thing, look));
    return Object.create(this, { things: { value: things } });
  }
}

export function recordOf(picture, look) {
  picture.record ??= new PictureRecord(picture);
  return picture.record.shown(look);
}
