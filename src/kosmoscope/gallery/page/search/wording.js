// A tree in canonical words: what `parse` reads as the same tree.

import { SOME, isSome } from "./amounts.js";
import { spokenRelation } from "../words.js";
import { anyOf } from "./drafts.js";
import { articleOf, headNoun, pluralOf } from "./nouns.js";
import { LANGUAGE, wordSet } from "./tables.js";

const RESERVED = wordSet(LANGUAGE.lexicon.reserved);
const GROUNDS = wordSet(["background", "foreground"]);

export function wording({ find, score }) {
  const parts = find === null ? [] : [nodeWording(find)];
  const [low, high] = score;
  if (low === 0 && high === 1) return parts.join("");
  if (find?.any) parts[0] = `(${parts[0]})`;
  return [...parts, `score:${shareText(low)}..${shareText(high)}`].join(", ");
}

export function nodeWording(node) {
  if (node.thing !== undefined) return thingWording(node);
  if (node.words) return `"${node.words.join(" ")}"`;
  if (node.taken) return `date:${node.taken[0] ?? ""}..${node.taken[1] ?? ""}`;
  if (node.folder !== undefined) return `folder:"${node.folder}"`;
  if (node.not) return negationWording(node.not);
  if (node.all) return node.all.map(innerWording).join(", ");
  const before = node.any.slice(0, -1).map(alternativeWording);
  return [...before, innerWording(node.any.at(-1))].join(" or ");
}

// A part before "or", which else would go with the thing of its relation.
const alternativeWording = (node) =>
  (node.not ?? node).related ? `(${nodeWording(node)})` : innerWording(node);

function negationWording(part) {
  if (part.thing === undefined || part.count) return `not ${innerWording(part)}`;
  return `no ${describedWording(part, manyWording(part.thing))}${whereWording(part)}`;
}

function innerWording(node) {
  const text = nodeWording(node);
  return node.all || node.any ? `(${text})` : text;
}

function thingWording(thing) {
  const count = thing.count ?? SOME;
  const many = !isSome(count) && (count[0] > 1 || count[1] !== 1);
  const text = describedWording(thing, many ? manyWording(thing.thing) : oneWording(thing.thing));
  const amount = isSome(count) ? articleOf(text) : amountWording(count);
  return `${amount} ${text}${whereWording(thing)}`;
}

function amountWording([low, high]) {
  if (high === null) return `at least ${low}`;
  if (low === high) return String(low);
  return low === 0 ? `at most ${high}` : `${low} to ${high}`;
}

function describedWording({ size, colours = [], words = [] }, noun) {
  const text = [size, ...colours, noun].filter(Boolean).join(" ");
  return words.length ? `${text} [${words.join(" ")}]` : text;
}

function manyWording(noun) {
  const many = pluralOf(noun);
  return isPlain(noun) && headNoun(many) === noun ? many : oneWording(noun);
}

const oneWording = (noun) => (isPlain(noun) ? noun : `{${noun}}`);

const isPlain = (noun) =>
  headNoun(noun) === noun && !noun.split(" ").some((word) => RESERVED.has(word));

function whereWording({ places = [], related = [] }) {
  const where = places.map((p) => (GROUNDS.has(p) ? ` in the ${p}` : ` at the ${p} of the picture`));
  const relations = related.map(({ relation, negated, ...others }, i) => {
    const other = anyOf(others).map(otherWording).join(" or ");
    const whole = others.or ? `(${other})` : other;
    return `${i ? " and" : ""}${negated ? " not" : ""} ${spokenRelation(relation)} ${whole}`;
  });
  return [...where, ...relations].join("");
}

function otherWording(thing) {
  const text = thingWording(thing);
  return thing.related || thing.places ? `(${text})` : text;
}

const shareText = (value) => value.toFixed(4).replace(/\.?0+$/, "") || "0";
