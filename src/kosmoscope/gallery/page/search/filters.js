// What a question says besides things: where in the picture, which scores, which days.

import { spanAt } from "./dates.js";
import { ARTICLES, LANGUAGE, wordSet } from "./tables.js";

const PLACES = LANGUAGE.lexicon;
const SIDES = new Map(Object.entries(PLACES.sides));
const PLACED_BY = wordSet(PLACES.placed_by);
const PLACE_NOUNS = wordSet(PLACES.place_nouns);
const PICTURE_NOUNS = wordSet(PLACES.picture_nouns);
const AFTER_DATES = wordSet([...PLACES.and, ...PLACES.or]);
const SIGNS = "< > = : >= <=";
const SCORES = wordSet(["score", "confidence"]);
const DATES = wordSet(["date", "taken"]);
const TAKEN_AT = wordSet(["in", "on", "from", "of", "during", "since", "after", "before", "until", "between"]);

// "score >", "date:" or the like begins there.
export function namedFilter(cursor, ahead) {
  const word = cursor.word(ahead);
  return (SCORES.has(word) || DATES.has(word)) && cursor.marks(SIGNS, ahead + 1);
}

// A date begins there, with the word that says how it is meant.
export function isDated(cursor, ahead) {
  return spanAt(cursor.tokens, cursor.at + ahead + dateLead(cursor, ahead)[1]) !== null;
}

// The word that says how a date is meant, and how many words stand before the date.
function dateLead(cursor, ahead) {
  const word = cursor.word(ahead);
  const after = cursor.word(ahead + 1);
  if (word === "taken") return TAKEN_AT.has(after) ? [after, 2] : ["in", 1];
  return [word, TAKEN_AT.has(word) ? 1 : 0];
}

// "in the top left corner", "on the left", "touching the edge of the picture"; null: no place.
export function readPlaces(cursor, goesOn) {
  if (!PLACED_BY.has(cursor.word())) return null;
  let ahead = cursor.past(ARTICLES, 1);
  const sides = new Set();
  for (; SIDES.has(cursor.word(ahead)); ahead++) sides.add(SIDES.get(cursor.word(ahead)));
  if (!sides.size) return null;
  if (["hand", "most"].includes(cursor.word(ahead))) ahead += 1;
  if (PLACE_NOUNS.has(cursor.word(ahead))) ahead += 1;
  if (cursor.word(ahead) === "of") {
    ahead = cursor.past(ARTICLES, ahead + 1);
    if (!PICTURE_NOUNS.has(cursor.word(ahead))) return null;
    ahead += 1;
  } else if (goesOn(ahead)) {
    return null; // "on the left bank", "in the front garden"
  }
  cursor.at += ahead;
  if (sides.has("background")) {
    cursor.note("'background' is taken as: its middle is in the upper half");
  }
  if (sides.has("foreground")) {
    cursor.note("'foreground' is taken as: it reaches into the lowest quarter");
  }
  return [...sides];
}

// "score > 0.7", "score:0.5..0.8": the new limits, or null.
export function readScore(cursor, [low, high]) {
  if (!SCORES.has(cursor.word()) || !cursor.marks(SIGNS, 1)) return null;
  const sign = cursor.find("mark", 1);
  const [first, ahead] = readShare(cursor, 2);
  if (first === null) return null;
  let [limits, length] = [[first, sign === "=" ? first : high], ahead];
  if (sign === ">" || sign === ">=") limits = [first, high];
  else if (sign === "<" || sign === "<=") limits = [low, first];
  else if (cursor.marks("..", ahead)) {
    const [second, after] = readShare(cursor, ahead + 1);
    [limits, length] = [[first, second ?? 1], after];
  }
  cursor.at += length;
  return limits;
}

function readShare(cursor, ahead) {
  const text = cursor.find("number", ahead);
  if (!text) return [null, ahead];
  const value = text.length < 12 ? Number(text) : 1;
  const kept = (share) => Math.min(Math.floor(share * 10_000 + 0.5) / 10_000, 1);
  if (cursor.marks("%", ahead + 1)) return [kept(value / 100), ahead + 2];
  return [kept(value), ahead + 1];
}

// "in 2024", "before june 2024", "date:2024-01-01..2024-06-30": a node, or null.
export function readDate(cursor) {
  const start = cursor.at;
  if (DATES.has(cursor.word()) && cursor.marks(":", 1)) return dateRange(cursor, start + 2);
  let [word, ahead] = dateLead(cursor, 0);
  if (ahead && cursor.marks(":", ahead)) ahead += 1;
  const found = spanAt(cursor.tokens, start + ahead);
  if (found === null) return null;
  const [span, at] = found;
  const following = cursor.word(at - start);
  if (ahead === 0 && following && !AFTER_DATES.has(following)) return null; // "2000 people"
  cursor.at = Math.max(at, start + 1);
  if (["from", "between"].includes(word) && ["to", "until", "and"].includes(following)) {
    const to = spanAt(cursor.tokens, at + 1);
    if (to !== null) {
      cursor.at = to[1];
      return { taken: [span.first, to[0].last] };
    }
  }
  return { taken: daysOf(word, span) };
}

// The days that a word before a date means.
function daysOf(word, { first, last, before, after }) {
  const days = { since: [first, null], after: [after, null], before: [null, before], until: [null, last] };
  return Object.hasOwn(days, word) ? days[word] : [first, last];
}

function dateRange(cursor, from) {
  const first = spanAt(cursor.tokens, from);
  cursor.at = first === null ? from : first[1];
  const open = cursor.marks("..");
  if (!open && first !== null) return { taken: [first[0].first, first[0].last] };
  const last = open ? spanAt(cursor.tokens, cursor.at + 1) : null;
  if (first === null && last === null) {
    cursor.note("'date:' has no date after it; it was passed over");
  }
  if (!open) return null;
  cursor.at = last === null ? cursor.at + 1 : last[1];
  return { taken: [first?.[0].first ?? null, last?.[0].last ?? null] };
}
