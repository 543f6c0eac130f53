// Questions that some of the pictures answer, to show what can be asked.

import { Question } from "./asking.js";
import { parse } from "./parser.js";
import { recordOf } from "./records.js";
import { liesTo } from "./space.js";
import { LANGUAGE } from "./tables.js";
import { nodeWording } from "./wording.js";

const LOOKED_AT = 300; // pictures
const THINGS = 12; // of each
const MOST = 4;
const EVERYTHING = { least: 0, closer: true };

// It can be written down, and is read as what it is.
function isReadable(noun) {
  if (!/^[a-z ]+$/.test(noun)) return false;
  const { find } = parse(`a ${noun}`);
  return find !== null && Object.keys(find).join() === "thing" && find.thing === noun;
}

// Trees of what a record's things are to each other, and how many of a kind there are.
function treesOf(record, readable) {
  const sure = record.things.filter(({ box, noun, probability }) =>
    box && probability >= LANGUAGE.rules.likely && readable(noun)).slice(0, THINGS);
  const trees = [];
  for (const a of sure) {
    for (const b of sure) {
      if (a.noun === b.noun) continue;
      for (const relation of ["left", "above", "inside"]) {
        if (liesTo(relation, a.box, b.box)) {
          trees.push({ thing: a.noun, related: [{ relation, to: { thing: b.noun } }] });
        }
      }
    }
  }
  for (const noun of new Set(sure.map((thing) => thing.noun))) {
    const number = sure.filter((thing) => thing.noun === noun).length;
    if (number > 1) trees.push({ thing: noun, count: [number, null] });
  }
  return trees;
}

// The commonest first, no two of one kind.
export function exampleQuestions(pictures, meanings) {
  const known = new Map();
  const readable = (noun) => {
    if (!known.has(noun)) known.set(noun, isReadable(noun));
    return known.get(noun);
  };
  const tally = new Map();
  for (const picture of pictures.slice(0, LOOKED_AT)) {
    const texts = new Map();
    for (const tree of treesOf(recordOf(picture, EVERYTHING), readable)) {
      texts.set(nodeWording(tree), tree);
    }
    for (const [text, tree] of texts) {
      const one = tally.get(text) ?? { text, tree, number: 0, picture };
      one.number += 1;
      tally.set(text, one);
    }
  }
  const chosen = [];
  for (const one of [...tally.values()].sort((a, b) => b.number - a.number)) {
    if (chosen.length === MOST) break;
    if (chosen.some((other) => kindOf(other.tree) === kindOf(one.tree))) continue;
    const chance = new Question(one.text, meanings).chance(one.picture, EVERYTHING);
    if (chance >= LANGUAGE.rules.likely) chosen.push(one);
  }
  return chosen.map(({ text }) => text);
}

const kindOf = (tree) => tree.related?.[0].relation ?? "count";
