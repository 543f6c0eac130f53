// A question asked of all pictures: which are likely, which only have the text, what comes nearest.

import { entityShown } from "../scores.js";
import { fold } from "../words.js";
import { Judge } from "./judge.js";
import { parse } from "./parser.js";
import { recordOf } from "./records.js";
import { LANGUAGE } from "./tables.js";
import { spokenRelation, wording } from "./wording.js";

const { likely: LIKELY } = LANGUAGE.rules;
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

  judge(picture, look) {
    return new Judge(recordOf(picture, look), this.meaning, this.query.score);
  }

  // 0..1: that the picture satisfies it. What asks for nothing ("?") is a text alone.
  chance(picture, look) {
    const { find } = this.query;
    if (find !== null) return this.judge(picture, look).chance(find);
    return this.said ? 1 : 0;
  }

  // Entities with the very text, as it is while one is still writing.
  withText(entry, look) {
    return entry.entities.filter((e) => hasText(e.key, this.text) && entityShown(e, look));
  }

  // What speaks for a picture: boxes and entities, both Sets, and lines that say it.
  evidence(picture, look) {
    const found = { chance: this.chance(picture, look), boxes: new Set(), entities: new Set(), lines: [] };
    const { find } = this.query;
    if (find !== null) {
      const judge = this.judge(picture, look);
      const { things } = judge.record;
      for (const { thing, relation, other } of judge.evidence(find)) {
        const used = [things[thing], things[other]].filter(Boolean);
        for (const { entity, from } of used) {
          if (entity) found.entities.add(entity);
          if (from) found.boxes.add(from);
        }
        const names = used.map(({ entity, noun }) => entity?.phrase || noun);
        found.lines.push(names.join(` ${spokenRelation(relation)} `));
      }
    }
    if (found.chance < LIKELY) {
      for (const entity of picture.entries.flatMap((entry) => this.withText(entry, look))) {
        found.entities.add(entity);
        for (const box of entity.boxes) found.boxes.add(box);
      }
    }
    return found;
  }

  // Of several tabs the one that has most of what speaks for the picture; the one that is shown,
  // where it has any.
  tab(picture, look) {
    if (picture.entries.length < 2) return picture.tab;
    const { entities } = this.evidence(picture, look);
    const numbers = picture.entries.map((entry) => entry.entities.filter((e) => entities.has(e)).length);
    return numbers[picture.tab] ? picture.tab : numbers.indexOf(Math.max(...numbers));
  }
}

// {found: pictures, likely: how many of them are, nearest: the likeliest of the others, or null}.
// Every picture then has its `chance`, and shows a tab with evidence.
export function ask(question, pictures, look) {
  const answer = { found: [], likely: 0, nearest: null };
  const shown = (entry) => look.least === 0 || entry.entities.some((e) => entityShown(e, look));
  for (const picture of pictures.filter(({ entries }) => entries.some(shown))) {
    picture.chance = question.chance(picture, look);
    const likely = picture.chance >= LIKELY;
    if (likely || picture.entries.some((entry) => question.withText(entry, look).length)) {
      answer.found.push(picture);
      answer.likely += Number(likely);
      picture.tab = question.tab(picture, look);
    } else if (picture.chance > (answer.nearest?.chance ?? 0)) {
      answer.nearest = picture;
    }
  }
  return answer;
}
