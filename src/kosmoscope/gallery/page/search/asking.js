// A question asked of all pictures: which are likely, which only have the text, what comes nearest.

import { entityShown } from "../scores.js";
import { fold, spokenRelation } from "../words.js";
import { Judge } from "./judge.js";
import { nearness, partsOf } from "./nearest.js";
import { parse } from "./parser.js";
import { recordOf } from "./records.js";
import { LANGUAGE } from "./tables.js";
import { wording } from "./wording.js";

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
    this.parts = partsOf(this.query.find);
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
      let evidence = judge.evidence(find);
      // Nothing of the whole: then of its parts, each thing once.
      if (!evidence.length && found.chance < LIKELY) {
        const each = this.parts.toReversed().flatMap((part) => judge.evidence(part));
        evidence = [...new Map(each.map((one) => [one.thing, one])).values()];
      }
      for (const { thing, relation, other } of evidence) {
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

// Of pictures the one that comes nearest, or null.
function nearestOf(question, pictures, look) {
  if (!question.parts.length) return null;
  let [best, order] = [null, 0];
  for (const picture of pictures) {
    const near = nearness(question.query.find, question.parts, question.judge(picture, look));
    if (near > order) [best, order] = [picture, near];
  }
  return best;
}

// {found: pictures, likely: how many of them are, nearest: what comes nearest where none is found}.
// Every picture then has its `chance`, and shows a tab with evidence.
export function ask(question, pictures, look) {
  const answer = { found: [], likely: 0, nearest: null };
  const shown = (entry) => look.least === 0 || entry.entities.some((e) => entityShown(e, look));
  const asked = pictures.filter(({ entries }) => entries.some(shown));
  for (const picture of asked) {
    picture.chance = question.chance(picture, look);
    const likely = picture.chance >= LIKELY;
    if (likely || picture.entries.some((entry) => question.withText(entry, look).length)) {
      answer.found.push(picture);
      answer.likely += Number(likely);
      picture.tab = question.tab(picture, look);
    }
  }
  if (!answer.found.length) answer.nearest = nearestOf(question, asked, look);
  return answer;
}
