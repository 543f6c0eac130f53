// Dates in a question: a year, a month or a day, as ISO days with both ends in.

import { LANGUAGE } from "./tables.js";

const MONTHS = new Map(Object.entries(LANGUAGE.lexicon.months));
const [FIRST_YEAR, LAST_YEAR] = LANGUAGE.limits.years;

const iso = (y, m, d) => new Date(Date.UTC(y, m - 1, d)).toISOString().slice(0, 10);

// {first, last, before, after}, or null where there is no such day.
function span(year, month = null, day = null) {
  const [m, d] = [month || 1, day || 1];
  const made = new Date(Date.UTC(year, m - 1, d));
  if (made.getUTCMonth() !== m - 1 || made.getUTCDate() !== d) return null;
  const last = day === null ? [year, (month ?? 12) + 1, 0] : [year, m, d];
  return {
    first: iso(year, m, d),
    last: iso(...last),
    before: iso(year, m, d - 1),
    after: iso(last[0], last[1], last[2] + 1),
  };
}

// [span, where the tokens after it begin], or null.
export function spanAt(tokens, at) {
  for (const read of [digits, monthYear, dayMonthYear, monthDayYear]) {
    const found = read(tokens, at);
    if (found?.[0]) return found;
  }
  return null;
}

// 2024, 2024-06, 2024-06-01
function digits(tokens, at) {
  const year = yearAt(tokens, at);
  if (year === null) return null;
  const parts = [year];
  let next = at + 1;
  while (parts.length < 3 && isMark(tokens, next, "-") && numberAt(tokens, next + 1) !== null) {
    parts.push(numberAt(tokens, next + 1));
    next += 2;
  }
  return [span(...parts), next];
}

// June 2024
function monthYear(tokens, at) {
  const [month, year] = [monthAt(tokens, at), yearAt(tokens, at + 1)];
  return month === null || year === null ? null : [span(year, month), at + 2];
}

// 1 June 2024
function dayMonthYear(tokens, at) {
  const [day, month, year] = [numberAt(tokens, at), monthAt(tokens, at + 1), yearAt(tokens, at + 2)];
  if (day === null || month === null || year === null) return null;
  return [span(year, month, day || null), at + 3];
}

// June 1, 2024
function monthDayYear(tokens, at) {
  const [month, day] = [monthAt(tokens, at), numberAt(tokens, at + 1)];
  const comma = isMark(tokens, at + 2, ",") ? 1 : 0;
  const year = yearAt(tokens, at + 2 + comma);
  if (month === null || day === null || year === null) return null;
  return [span(year, month, day || null), at + 3 + comma];
}

function numberAt(tokens, at) {
  const token = tokens[at];
  if (token?.kind !== "number" || token.text.length > 4 || token.text.includes(".")) return null;
  return Number(token.text);
}

function yearAt(tokens, at) {
  const year = numberAt(tokens, at);
  return year === null || year < FIRST_YEAR || year > LAST_YEAR ? null : year;
}

const monthAt = (tokens, at) =>
  tokens[at]?.kind === "word" ? MONTHS.get(tokens[at].text) ?? null : null;

const isMark = (tokens, at, mark) => tokens[at]?.kind === "mark" && tokens[at].text === mark;
