// A question asked of all pictures: which are likely, which only have the text, what comes nearest.

import { entityShown } from "../scores.js";
import { fold } from "../words.js";
import { Judge } from "./judge.js";
import { parse } from "./parser.js";
import { recordOf } from "./records.js";
import { LANGUAGE } from "./tables.js";
import { spokenRelation, wording } from "./wording.js";

const LIKELY = LANGUAGE.rules.likely;
const LETTER = /[\p{L}\p{N}]/u;

// The text stands in it, and begins where a word does.
function hasText(key, text) {
  for (let at = key.indexOf(text); at >= 0; at = key.indexOf(text, at + 1)) {
    if (at === 0 || !LETTER.test(text[0]) || !LETTER.test(key[at - 1])) return true;
  }
  return false;
}

export class Question {
  constructor(text, meanings) {
    this.text = fold(text);
    this.query = parse(text);
    this.said = wording(this.query);
    this.meaning = (noun) => meanings.of(noun);
  }

  judge(picture, entry, look) {
    return new Judge(recordOf(picture, entry, look), this.meaning, this.query.score);
  }

  // 0..1: that the picture satisfies it. What asks for nothing ("?") is a text alone.
  chance(picture, entry, look) {
    const { find } = this.query;
    if (find !== null) return this.judge(picture, entry, look).chance(find);
    return this.said ? 1 : 0;
  }

  // Entities with the very text, as it is while one is still writing.
  withText(entry, look) {
    return entry.entities.filter((e) => hasText(e.key, this.text) && entityShown(e, look));
  }

  // What speaks for an entry: boxes, the numbers of their entities, lines that say it.
  evidence(picture, entry, look) {
    const { find } = this.query;
    const judge = this.judge(picture, entry, look);
    const { things } = judge.record;
    const chance = this.chance(picture, entry, look);
    const found = { boxes: new Set(), entities: new Set(), lines: [], chance };
    for (const one of find === null ? [] : judge.evidence(find)) {
      const used = [things[one.thing], things[one.other]].filter(Boolean);
      for (const { entity, from } of used) {
        found.entities.add(entity.n);
        if (from) found.boxes.add(from);
      }
      found.lines.push(used.map(({ entity }) => entity.phrase).join(` ${spokenRelation(one.relation)} `));
    }
    if (found.chance < LIKELY && !found.lines.length) {
      for (const entity of this.withText(entry, look)) {
        found.entities.add(entity.n);
        for (const box of entity.boxes) found.boxes.add(box);
      }
    }
    return found;
  }
}

// {found: pictures, likely: how many of them, nearest: the likeliest of the others or null}. Every
// picture then has its `chance`; a tab that is likelier, or has the text, takes the place of another.
export function ask(question, pictures, look) {
  const found = [];
  let [likely, nearest] = [0, null];
  const chanceOfEntry = (picture, entry) => {
    const shown = look.least === 0 || entry.entities.some((e) => entityShown(e, look));
    return shown ? question.chance(picture, entry, look) : -1;
  };
  for (const picture of pictures) {
    const chances = picture.entries.map((entry) => chanceOfEntry(picture, entry));
    picture.chance = Math.max(...chances);
    if (picture.chance >= LIKELY) {
      likely += 1;
      found.push(picture);
      if (chances[picture.tab] < LIKELY) picture.tab = chances.indexOf(picture.chance);
      continue;
    }
    const withText = picture.entries.map((entry) => question.withText(entry, look).length > 0);
    if (withText.includes(true)) {
      found.push(picture);
      if (!withText[picture.tab]) picture.tab = withText.indexOf(true);
    } else if (picture.chance > (nearest?.chance ?? 0)) {
      nearest = picture;
    }
  }
  return { found, likely, nearest };
}
