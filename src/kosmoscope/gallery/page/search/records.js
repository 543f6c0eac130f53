// What is known of a picture, as the record that questions are asked of.

import { boxScore, boxShown, entityShown } from "../scores.js";
import { headNoun, singularOf } from "./nouns.js";
import { spelled, wordsOf } from "./tokens.js";

const singulars = new Map();
const readings = new Map();

function singularWords(text) {
  return wordsOf(text).map((word) => {
    if (!singulars.has(word)) singulars.set(word, singularOf(word));
    return singulars.get(word);
  });
}

// A phrase's head noun and words, each in the singular.
function readPhrase(phrase) {
  if (!readings.has(phrase)) {
    readings.set(phrase, { noun: spelled(headNoun(phrase)), words: singularWords(phrase) });
  }
  return readings.get(phrase);
}

// The entry's things that are shown, each with its entity and box.
function thingsOf(entry, look) {
  return entry.entities.filter((entity) => entityShown(entity, look)).flatMap((entity) => {
    const thing = (box, probability) => ({
      ...readPhrase(entity.phrase), probability, entity, from: box, number: 1,
      box: box && [box.x1, box.y1, box.x2, box.y2], colours: box?.colours ?? [],
    });
    const boxes = entity.boxes.filter((box) => boxShown(entity, box, look));
    if (!entity.boxes.length) return [thing(null, entity.score ?? 1)];
    return boxes.map((box) => thing(box, boxScore(entity, box)));
  });
}

class PictureRecord {
  constructor(picture, entry, look) {
    this.entry = entry;
    this.things = thingsOf(entry, look);
    this.folder = spelled(picture.name.split("/").slice(0, -1).join("/"));
    this.taken = picture.taken;
  }

  // Few questions ask for them.
  get words() {
    this.said ??= new Set([
      ...singularWords(this.entry.caption), ...this.things.flatMap((thing) => thing.words),
    ]);
    return this.said;
  }
}

// Kept until something else is to be shown.
export function recordOf(picture, entry, look) {
  const key = `${look.least} ${look.closer}`;
  if (entry.record?.key !== key) {
    entry.record = { key, value: new PictureRecord(picture, entry, look) };
  }
  return entry.record.value;
}
