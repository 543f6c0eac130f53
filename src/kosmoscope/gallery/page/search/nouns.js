// Head nouns, singulars and plurals, by the rules of kosmoscope.export.nouns.

import { LANGUAGE, SPACE, wordSet } from "./tables.js";

const LISTS = LANGUAGE.nouns;
const DETERMINERS = wordSet(LISTS.determiners);
const COUNTERS = wordSet(LISTS.numbers);
const BREAKS = wordSet(LISTS.breaks);
const CONTAINERS = wordSet(LISTS.containers);
const ADJECTIVES = wordSet(LISTS.adjectives);
const ING_NOUNS = wordSet(LISTS.ing_nouns);
const ING_MODIFIERS = wordSet(LISTS.ing_modifiers);
const ED_NOUNS = wordSet(LISTS.ed_nouns);
const PARTICIPLES = wordSet(LISTS.participles);
const COMPOUNDS = wordSet(LISTS.compounds);
const PLURAL_ONLY = wordSet(LISTS.plural_only);
const SINGULAR = new Map(Object.entries(LISTS.singular));
const IRREGULAR = new Map([...SINGULAR].reverse().map(([many, one]) => [one, many]));

const PIECE = /[\p{L}\p{N}]+(?:['’&./\-][\p{L}\p{N}]+)*|[,;:()]/gu;
const SPACES = new RegExp(`[${SPACE}]+`, "u");
const named = (word) => /^[\p{L}\p{N}]/u.test(word);
export const lengthOf = (text) => [...text].length;

const heads = new Map();

// The head noun of a phrase, lower case and singular.
export function headNoun(phrase) {
  let head = heads.get(phrase);
  if (head === undefined) {
    head = findHead(phrase);
    heads.set(phrase, head);
  }
  return head;
}

function findHead(phrase) {
  const text = phrase.normalize("NFC").split(SPACES).filter(Boolean).join(" ").toLowerCase();
  const words = text.match(PIECE) ?? [];
  while (words.length > 1 && (DETERMINERS.has(words[0]) || !named(words[0]))) words.shift();
  let nouns = core(words);
  if (!nouns.length) nouns = words.filter(named).slice(0, 1);
  if (!nouns.length) return text;
  const last = nouns.at(-1).replace(/['’]s?$/, "");
  if (nouns.length > 1) {
    const [before, one] = [nouns.at(-2), singularOf(last, true)];
    if (COMPOUNDS.has(`${before}_${one}`)) return `${before} ${one}`;
  }
  return singularOf(last);
}

// The words up to the head.
function core(words) {
  let found = [];
  const described = () => ADJECTIVES.has(found.at(-1));
  for (let i = 0; i < words.length; i++) {
    const [word, following] = [words[i], words[i + 1] ?? ""];
    if (word === "of" && CONTAINERS.has(found.at(-1)) && hasContent(words.slice(i + 1))) {
      found = []; // "a group of ..."
    } else if (word === "and" || word === "&") {
      const joins = found.length && described();
      if (!joins || DETERMINERS.has(following) || COUNTERS.has(following)) break;
    } else if (!named(word)) {
      if (found.length && !described()) break;
    } else if (BREAKS.has(word) && (found.length || !ADJECTIVES.has(word))) {
      if (found.length) break;
    } else if (DETERMINERS.has(word) || (COUNTERS.has(word) && following)) {
      if (found.length && !described()) break; // "a man his dog"
    } else if (found.length && !described() && isParticiple(word, following)) {
      break;
    } else {
      found.push(word);
    }
  }
  return found;
}

const hasContent = (words) =>
  words.some((word) => named(word) && !DETERMINERS.has(word) && !BREAKS.has(word));

// Nothing of the noun phrase can follow before this word.
const ends = (word) => !word || BREAKS.has(word) || DETERMINERS.has(word) || !named(word);

// A verb after a noun that says something about it.
function isParticiple(word, following) {
  if (word.endsWith("ing") && lengthOf(word) > 4 && !ING_NOUNS.has(word)) {
    return !ING_MODIFIERS.has(word) || ends(following);
  }
  const isEd = word.endsWith("ed") && lengthOf(word) > 3 && !ED_NOUNS.has(word);
  return (isEd || PARTICIPLES.has(word)) && ends(following);
}

// `counted`: "glasses" are several of a glass, not a pair of spectacles.
export function singularOf(word, counted = false) {
  const at = word.lastIndexOf("-") + 1;
  return word.slice(0, at) + singularWord(word.slice(at), counted);
}

function singularWord(word, counted) {
  if (SINGULAR.has(word)) return SINGULAR.get(word);
  if (/.['’]s$/su.test(word)) return word.slice(0, -2); // a dog's
  if (PLURAL_ONLY.has(word) && !counted) return word;
  const length = lengthOf(word);
  if (word.endsWith("men") && length > 5 && word !== "specimen") return `${word.slice(0, -3)}man`;
  if (length < 4 || !word.endsWith("s") || /(?:ss|us|is)$/.test(word)) return word;
  if (word.endsWith("ies") && length > 4) return `${word.slice(0, -3)}y`;
  if (/(?:ches|shes|xes|sses|zzes|oes)$/.test(word)) return word.slice(0, -2);
  if (word.endsWith("uses") && !word.endsWith("ouses")) return word.slice(0, -2);
  return word.slice(0, -1);
}

export function pluralOf(noun) {
  const at = noun.lastIndexOf(" ") + 1;
  return noun.slice(0, at) + pluralWord(noun.slice(at));
}

function pluralWord(word) {
  if (IRREGULAR.has(word)) return IRREGULAR.get(word);
  if (PLURAL_ONLY.has(word) || singularOf(word) !== word) return word;
  if (/(?:s|x|z|ch|sh)$/.test(word)) return `${word}es`;
  if (word.endsWith("y") && !/[aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return `${word}s`;
}

// "a", or "an" before a vowel as it is spoken.
export function articleOf(noun) {
  const word = noun.toLowerCase();
  const spoken = /^[aeiou]/.test(word) && !/^(?:uni|use|eu)/.test(word);
  return spoken || /^(?:hour|heir|honest)/.test(word) ? "an" : "a";
}
