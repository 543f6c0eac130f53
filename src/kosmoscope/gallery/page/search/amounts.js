// How many: "two", "at least 3", "3 to 5", "several".

import { LANGUAGE, Phrases } from "./tables.js";

const { number: MAX_NUMBER } = LANGUAGE.limits;
const WORDS = LANGUAGE.lexicon;
export const NUMBERS = new Map(Object.entries(WORDS.numbers));
const AMOUNTS = new Phrases(WORDS.amounts);
const OR_MORE = new Phrases(WORDS.or_more);
const OR_FEWER = new Phrases(WORDS.or_fewer);
// The last one also where a thing stands before it: there "above 3 cars" says where that is.
const BOUNDS = [
  [new Phrases(WORDS.at_least), (n) => [n, null], false],
  [new Phrases(WORDS.at_most), (n) => [0, n], false],
  [new Phrases(WORDS.more_than), (n) => [Math.min(n + 1, MAX_NUMBER), null], false],
  [new Phrases(WORDS.fewer_than), (n) => [0, Math.max(n - 1, 0)], false],
  [new Phrases(WORDS.exactly), (n) => [n, n], true],
];

export const SOME = [1, null];
export const isSome = ([low, high]) => low === 1 && high === null;

const wordFrom = (tokens, at) => (tokens[at]?.kind === "word" ? tokens[at].text : "");
const phraseFrom = (tokens, at, phrases) => phrases.lengthAt((i) => wordFrom(tokens, at + i));
const range = (low, high) => [Math.min(low, high), Math.max(low, high)];

// [count, where the tokens after it begin], or null.
export function amountAt(tokens, at, afterThing = false) {
  for (const [phrases, bound, always] of BOUNDS) {
    const length = phraseFrom(tokens, at, phrases);
    if (!length || (afterThing && length === 1 && !always)) continue;
    const found = wholeNumber(tokens, at + length);
    if (found !== null) return [bound(found), at + length + 1];
  }
  if (wordFrom(tokens, at) === "between") {
    const [low, high] = [wholeNumber(tokens, at + 1), wholeNumber(tokens, at + 3)];
    if (low !== null && wordFrom(tokens, at + 2) === "and" && high !== null) {
      return [range(low, high), at + 4];
    }
  }
  const number = wholeNumber(tokens, at);
  if (number !== null) return numbered(tokens, at, number);
  const length = phraseFrom(tokens, at, AMOUNTS);
  if (!length) return null;
  const text = tokens.slice(at, at + length).map((t) => t.text).join(" ");
  return [AMOUNTS.value(text), at + length];
}

// What may follow a number: "or more", "+", "to 5", "- 5".
function numbered(tokens, at, number) {
  const more = phraseFrom(tokens, at + 1, OR_MORE);
  if (more) return [[number, null], at + 1 + more];
  const fewer = phraseFrom(tokens, at + 1, OR_FEWER);
  if (fewer) return [[0, number], at + 1 + fewer];
  const following = tokens[at + 1]?.text ?? "";
  if (following === "+") return [[number, null], at + 2];
  if (["-", "to", ".."].includes(following)) {
    const high = wholeNumber(tokens, at + 2);
    if (high !== null) return [range(number, high), at + 3];
  }
  return [[number, number], at + 1];
}

function wholeNumber(tokens, at) {
  const token = tokens[at];
  if (token?.kind === "word") return NUMBERS.get(token.text) ?? null;
  if (token?.kind !== "number" || token.text.includes(".")) return null;
  return token.text.length > 4 ? MAX_NUMBER : Math.min(Number(token.text), MAX_NUMBER);
}
