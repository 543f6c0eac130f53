// What comes nearest, where no picture is an answer: by the parts of the question, one by one. A thing
// counts as a whole, without what it is to others, and as anything of that name.

import { anyOf } from "./drafts.js";
import { LANGUAGE } from "./tables.js";

const { anything: NAMELESS } = LANGUAGE.rules;

// The parts, those with most said first.
export function partsOf(node) {
  if (node === null || node.not) return [];
  const parts = node.all ?? node.any;
  if (parts) return parts.flatMap(partsOf);
  if (node.thing === undefined) return [node];
  const { related = [], ...alone } = node;
  return [
    node,
    ...(related.length ? [alone] : []),
    ...(node.thing === NAMELESS ? [] : [{ thing: node.thing }]),
    ...related.filter(({ negated }) => !negated).flatMap(anyOf).flatMap(partsOf),
  ];
}

// 0..2: the probability, and the mean of the parts'; what has none of them is not near.
export function nearness(whole, parts, judge) {
  const chances = parts.map((part) => judge.chance(part));
  if (chances.every((p) => p <= 0)) return 0;
  return chances.reduce((sum, p) => sum + p, 0) / chances.length + judge.chance(whole);
}
