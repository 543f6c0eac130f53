// Things while a question is being read: what is said of them may still come.

import { SOME, isSome } from "./amounts.js";
import { headNoun, lengthOf, singularOf } from "./nouns.js";
import { LANGUAGE, wordSet } from "./tables.js";

const GROUPS = wordSet(LANGUAGE.lexicon.groups);
export const ANY_NOUN = LANGUAGE.rules.anything;
const ANYTHING = wordSet(LANGUAGE.lexicon.anything);
export const COLOURS = new Map(Object.entries(LANGUAGE.lexicon.colours));
export const SIZE_WORDS = new Map(Object.entries(LANGUAGE.lexicon.sizes));

export class Draft {
  constructor(places = []) {
    this.noun = ANY_NOUN;
    this.words = [];
    this.colours = [];
    this.size = null;
    this.places = places;
    this.related = [];
    this.count = SOME;
  }

  // The words of a noun phrase, and words that stand in brackets behind it.
  describe(run, exact) {
    let words = [...run];
    if (words.indexOf("of", 1) > 0 && GROUPS.has(words[0])) {
      words = words.slice(words.indexOf("of") + 1);
      if (isSome(this.count)) this.count = [LANGUAGE.limits.several, null];
    }
    if (words[0] === "something" || words[0] === "anything") words = [...words.slice(1), ANY_NOUN];
    while (words.length && (words.length > 1 || !isNoun(words[0])) && this.look(words[0])) {
      words.shift();
    }
    if (words.length) {
      this.noun = settled(words.join(" "));
      const named = new Set([this.noun, ...this.noun.split(" ")]);
      for (const word of words) {
        const one = singularOf(word);
        const ofName = named.has(one) || named.has(singularOf(word, true)); // wine glasses
        if (!ofName && word !== "of" && !this.look(one)) this.words.push(one);
      }
    }
    if (ANYTHING.has(this.noun)) this.noun = ANY_NOUN;
    this.words = [...new Set([...this.words, ...exact])];
  }

  // Take a word for a colour or a size; say whether it is one.
  look(word) {
    const [colour, size] = [COLOURS.get(word), SIZE_WORDS.get(word)];
    if (colour !== undefined) {
      if (!this.colours.includes(colour)) this.colours.push(colour);
    } else if (size !== undefined) {
      this.size = size;
    } else {
      return false;
    }
    return true;
  }

  place(places) {
    this.places.push(...places.filter((p) => !this.places.includes(p)));
  }

  // As a part of the tree; what is not set is left out.
  thing() {
    const thing = { thing: this.noun };
    if (!isSome(this.count)) thing.count = this.count;
    if (this.words.length) thing.words = this.words;
    if (this.colours.length) thing.colours = this.colours;
    if (this.places.length) thing.places = this.places;
    if (this.size) thing.size = this.size;
    if (this.related.length) {
      thing.related = this.related.map(([relation, others, negated]) => {
        const [to, ...or] = onceEach(others.map((other) => other.thing()));
        return { relation, to, ...(or.length && { or }), ...(negated && { negated }) };
      });
    }
    return thing;
  }
}

// Nodes, of equal ones the first.
export const onceEach = (nodes) =>
  [...new Map(nodes.map((node) => [JSON.stringify(node), node])).values()];

// All to which something may stand: "left of a car or a bus".
export const anyOf = ({ to, or = [] }) => [to, ...or];

// A word that is also a colour and means a thing where it stands alone.
export const isNoun = (word) => word === "orange";

// The head noun, as it stays when it is read again.
function settled(text) {
  let noun = headNoun(text);
  for (;;) {
    const again = headNoun(noun);
    if (again === noun || lengthOf(again) > lengthOf(noun)) return noun;
    noun = again;
  }
}
