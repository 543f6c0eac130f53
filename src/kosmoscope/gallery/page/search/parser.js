// From a question in words to a tree: kosmoscope.questions.language.parser in JavaScript. Every text
// is a question. A tree is what `Query.to_dict` gives there.

import { NUMBERS, amountAt, isSome } from "./amounts.js";
import { Cursor } from "./cursor.js";
import { COLOURS, Draft, SIZE_WORDS, isNoun, onceEach } from "./drafts.js";
import { isDated, namedFilter, readDate, readPlaces, readScore } from "./filters.js";
import { singularOf } from "./nouns.js";
import { ARTICLES, LANGUAGE, Phrases, wordSet } from "./tables.js";
import { tokensOf, wordsOf } from "./tokens.js";

const CLOSED = LANGUAGE.lexicon;
const RELATIONS = new Phrases(CLOSED.relations);
const UNTOLD = new Phrases(CLOSED.untold);
const OPENINGS = new Phrases(CLOSED.openings);
const GUESSES = wordSet(CLOSED.touching_is_a_guess);
const POSTURES = wordSet(CLOSED.postures);
const NOTHING = wordSet(CLOSED.nothing);
const AND = wordSet(CLOSED.and);
const OR = wordSet(CLOSED.or);
const FILLERS = wordSet(CLOSED.fillers);
const JOINING = wordSet([...CLOSED.and, ...CLOSED.or, ...CLOSED.nothing, ...CLOSED.fillers]);
const { depth: MAX_DEPTH } = LANGUAGE.limits;

// Not a part that may still grow.
class Negated {
  constructor(part) {
    this.part = part;
  }
}

// Parts of which all, or any, hold.
class Group {
  constructor(parts, every) {
    this.parts = parts;
    this.every = every;
  }
}

export function parse(text) {
  const [tokens, cut] = tokensOf(text);
  const cursor = new Cursor(tokens);
  const reader = new Reader(cursor);
  if (cut) {
    const { characters, tokens: words } = LANGUAGE.limits;
    cursor.note(`only the first ${characters} characters and ${words} words were read`);
  }
  const find = reader.question();
  return { find, score: reader.score, notes: [...new Set(cursor.notes)] };
}

class Reader {
  constructor(cursor) {
    this.cursor = cursor;
    this.depth = 0;
    this.score = [0, 1];
    this.last = null; // The thing named last: what follows without "and" is said of it.
    this.subject = null; // The thing of the last relation: one after "and" is said of it.
  }

  question() {
    const { cursor } = this;
    cursor.at += cursor.phrase(OPENINGS);
    const parts = [];
    while (!cursor.ended) {
      const found = this.alternatives();
      if (found !== null) parts.push(found);
      if (cursor.marks(")")) this.passOver();
    }
    return finished(grouped(parts, true));
  }

  amount(ahead = 0, afterThing = false) {
    return amountAt(this.cursor.tokens, this.cursor.at + ahead, afterThing);
  }

  passOver() {
    if (!".,;:!?'\"-".includes(this.cursor.text)) {
      this.cursor.note(`'${this.cursor.text}' says nothing here; it was passed over`);
    }
    this.cursor.at += 1;
  }

  // The grammar.

  alternatives() {
    const parts = [];
    for (;;) {
      const found = this.conjunction();
      if (found !== null) parts.push(found);
      if (!OR.has(this.cursor.word()) && !this.cursor.marks("|")) return grouped(parts, false);
      this.cursor.at += 1;
    }
  }

  conjunction() {
    this.last = this.subject = null;
    const parts = [];
    let joined = false;
    while (!this.cursor.ended) {
      if (OR.has(this.cursor.word()) || this.cursor.marks("| )")) break;
      if (AND.has(this.cursor.word()) || this.cursor.marks("& , ;")) {
        this.cursor.at += 1;
        joined = true;
        continue;
      }
      const found = this.part(joined);
      if (found !== null) parts.push(found);
      joined = false;
    }
    return grouped(parts, true);
  }

  // One part; null where it was said of a thing before, or says nothing.
  part(joined) {
    if (this.cursor.marks("(")) return this.parentheses();
    const amount = this.amount(0, this.last !== null);
    if (amount === null && this.cursor.marks("- !") && this.cursor.word(1)) return this.excluded();
    if (amount === null && NOTHING.has(this.cursor.word())) return this.negation(joined);
    const { kind } = this.cursor.tokens[this.cursor.at];
    if (kind === "quoted") {
      const words = wordsOf(this.cursor.text).map((word) => singularOf(word));
      this.cursor.at += 1;
      return words.length ? { words } : null;
    }
    if (kind === "folder") {
      const folder = this.cursor.text.replace(/^\/+|\/+$/g, "");
      this.cursor.at += 1;
      return folder ? { folder } : null;
    }
    const score = readScore(this.cursor, this.score);
    if (score !== null) {
      this.score = score;
      return null;
    }
    const taken = readDate(this.cursor);
    if (taken !== null) return taken;
    const places = this.places();
    if (places !== null) {
      if (this.last === null) return this.fresh(new Draft(places));
      this.last.place(places);
      return null;
    }
    if (amount === null && this.relates()) return this.relation(joined, false);
    return this.thing();
  }

  // `-dog`: the one word is not there.
  excluded() {
    const draft = new Draft();
    draft.describe([this.cursor.word(1)], []);
    this.cursor.at += 2;
    return new Negated(this.fresh(draft));
  }

  parentheses() {
    this.cursor.at += 1;
    if (this.depth >= MAX_DEPTH) {
      this.cursor.note(`parentheses more than ${MAX_DEPTH} deep were passed over`);
      return null;
    }
    const found = this.enclosedAlternatives();
    this.last = this.subject = null;
    return found;
  }

  enclosedAlternatives() {
    this.depth += 1;
    const found = this.alternatives();
    this.depth -= 1;
    if (this.cursor.marks(")")) this.cursor.at += 1;
    return found;
  }

  negation(joined) {
    const word = this.cursor.text;
    this.cursor.at += 1;
    this.cursor.skip(FILLERS);
    const alone = () => {
      this.cursor.note(`'${word}' has nothing after it; it was passed over`);
      return null;
    };
    if (this.cursor.ended) return alone();
    if (this.amount(0, true) === null && this.cursor.phrase(RELATIONS) && this.last !== null) {
      return this.relation(joined, true);
    }
    const over = OR.has(this.cursor.word()) || this.cursor.marks("| ) & , ;");
    if (over || this.depth >= MAX_DEPTH) return alone();
    this.depth += 1;
    this.last = this.subject = null;
    let found = this.part(false);
    this.depth -= 1;
    if (found === null) return null;
    const parts = [new Negated(found)];
    while (found instanceof Draft && OR.has(this.cursor.word()) && this.goesOn(1)) {
      this.cursor.at += 1; // "no dogs or cats" has neither
      found = this.thing();
      if (found !== null) parts.push(new Negated(found));
    }
    return grouped(parts, true);
  }

  // A noun phrase without article or amount begins here.
  goesOn(ahead) {
    return this.plain(ahead) && this.amount(ahead) === null;
  }

  fresh(draft) {
    [this.last, this.subject] = [draft, null];
    return draft;
  }

  // How the last thing stands to another one.
  relation(joined, negated) {
    const told = this.cursor.phrase(RELATIONS);
    const words = this.cursor.take(told || this.cursor.phrase(UNTOLD));
    const phrase = words.join(" ");
    let subject = (joined ? this.subject : null) ?? this.last;
    const made = subject === null ? this.fresh(new Draft()) : null;
    subject ??= made;
    this.cursor.skip(FILLERS);
    const others = this.relatedThings();
    if (!others.length) {
      this.cursor.note(`'${phrase}' has no thing after it; it was passed over`);
      if (made !== null) this.last = null;
      return null;
    }
    if (!told) {
      this.cursor.note(`boxes cannot tell '${phrase}': both things are looked for`);
      [this.last, this.subject] = [others.at(-1), null];
      const found = grouped(others, false);
      return made === null ? found : grouped([made, found], true);
    }
    if (GUESSES.has(words[0])) this.cursor.note(`'${phrase}' is taken as: their boxes touch`);
    subject.related.push([RELATIONS.value(phrase), others, negated]);
    this.subject = subject;
    return made;
  }

  // With a word before it, as there is one: "on the left bank" is no place.
  places() {
    return readPlaces(this.cursor, (ahead) => this.plain(ahead, ["left"]));
  }

  // The other thing of a relation, or several of which it may be any.
  relatedThings() {
    if (this.cursor.marks("(")) return this.relatedInParentheses();
    let found = this.thing();
    const others = [];
    while (found !== null) {
      others.push(found);
      found = this.alternative();
    }
    return others;
  }

  // Things with what is said of them.
  relatedInParentheses() {
    this.cursor.at += 1;
    if (this.depth >= MAX_DEPTH) return this.relatedThings();
    const outer = [this.last, this.subject];
    const found = this.enclosedAlternatives();
    [this.last, this.subject] = outer;
    const others = draftsOf(found);
    if (others.length || !(found instanceof Group)) return others;
    const first = found.parts.filter((part) => part instanceof Draft).slice(0, 1);
    if (first.length) {
      this.cursor.note("after a relation stands one thing: the first in the parentheses counts");
    }
    return first;
  }

  // "or a bus" after "left of a car". null, and nothing read, where something is said of the bus: then
  // it is looked for by itself.
  alternative() {
    const { cursor } = this;
    if (!OR.has(cursor.word()) && !cursor.marks("|")) return null;
    const kept = [cursor.at, cursor.notes.length, this.last, this.subject];
    cursor.at += 1;
    this.last = null;
    let found = this.beginsNoThing() ? null : this.thing();
    if (found !== null && this.saysMore()) found = null;
    if (found === null) [cursor.at, cursor.notes.length, this.last, this.subject] = kept;
    return found;
  }

  // Something else than a thing begins here; may read it.
  beginsNoThing() {
    const { cursor } = this;
    return (
      cursor.ended ||
      ["quoted", "folder"].includes(cursor.tokens[cursor.at].kind) ||
      cursor.marks("( - !") ||
      NOTHING.has(cursor.word()) ||
      this.relates() ||
      readScore(cursor, this.score) !== null ||
      readDate(cursor) !== null ||
      this.places() !== null
    );
  }

  relates() {
    return Boolean(this.cursor.phrase(RELATIONS) || this.cursor.phrase(UNTOLD));
  }

  // A relation or a place follows, which is said of the thing before it.
  saysMore() {
    const { cursor } = this;
    const kept = [cursor.at, cursor.notes.length];
    let more = false;
    cursor.skip(FILLERS);
    if (NOTHING.has(cursor.word())) {
      cursor.at += 1;
      cursor.skip(FILLERS);
      more = Boolean(cursor.phrase(RELATIONS));
    } else {
      more = this.places() !== null || (this.amount(0, true) === null && this.relates());
    }
    [cursor.at, cursor.notes.length] = kept;
    return more;
  }

  // A thing: how many, what it is like, what it is called.
  thing() {
    const start = this.cursor.at;
    const draft = new Draft();
    this.cursor.skip(FILLERS);
    const amount = this.amount();
    if (amount !== null) [draft.count, this.cursor.at] = amount;
    while (ARTICLES.has(this.cursor.word()) || (this.cursor.word() === "of" && this.cursor.at > start)) {
      this.cursor.at += 1;
    }
    const run = this.run();
    const noun = this.enclosed("{", "}");
    if (noun.length) {
      for (const word of run) draft.look(word);
      draft.noun = noun.join(" ");
      draft.words = this.enclosed("[", "]");
      return this.fresh(draft);
    }
    if (run.length) {
      const exact = this.enclosed("[", "]");
      const looks = run.every((w) => COLOURS.has(w) || SIZE_WORDS.has(w));
      const noThing = run.length === 1 && isNoun(run[0]);
      if (looks && this.last !== null && isSome(draft.count) && !noThing) {
        for (const word of run) this.last.look(word); // "a car that is red"
        return null;
      }
      draft.describe(run, exact);
      return this.fresh(draft);
    }
    if (this.cursor.at > start) {
      if (!isSome(draft.count)) {
        const text = this.cursor.tokens.slice(start, this.cursor.at).map((t) => t.text).join(" ");
        this.cursor.note(`'${text}' has no thing after it; it was passed over`);
      }
      return null;
    }
    if (!this.cursor.ended && !this.cursor.marks(")")) this.passOver();
    return null;
  }

  // The words of a noun phrase, up to what begins something else.
  run() {
    const run = [];
    for (let word = this.cursor.word(); word; word = this.cursor.word()) {
      const other = this.cursor.word(1) === "and" ? this.cursor.word(2) : "";
      if (COLOURS.has(word) && COLOURS.has(other) && this.plain(3)) {
        run.push(word, other);
        this.cursor.at += 3;
        continue;
      }
      if (!this.plain(0, run)) break;
      if (run.length && POSTURES.has(word)) {
        this.cursor.note(`boxes cannot tell '${word}'; it was passed over`);
      } else {
        run.push(word);
      }
      this.cursor.at += 1;
    }
    return run;
  }

  // A word goes on with a noun phrase, and begins nothing else.
  plain(ahead, run = []) {
    const { cursor } = this;
    const word = cursor.word(ahead);
    if (!word || JOINING.has(word)) return false;
    if (cursor.phrase(RELATIONS, ahead) || cursor.phrase(UNTOLD, ahead)) return false;
    if (namedFilter(cursor, ahead)) return false;
    if (!run.length) return !ARTICLES.has(word) && word !== "of";
    if (ARTICLES.has(word) || NUMBERS.has(word)) return run.at(-1) === "of";
    return !(isDated(cursor, ahead) || this.amount(ahead));
  }

  // Words as they are: `dog [young]` is called so besides, `{right}` is a thing's name.
  enclosed(opening, closing) {
    if (!this.cursor.marks(opening)) return [];
    const words = [];
    let ahead = 1;
    for (; this.cursor.word(ahead); ahead++) words.push(this.cursor.word(ahead));
    if (!this.cursor.marks(closing, ahead)) return [];
    this.cursor.at += ahead + 1;
    return words;
  }
}

// The things of which a part is any; [] where it is something else.
function draftsOf(part) {
  if (part instanceof Draft) return [part];
  if (!(part instanceof Group) || part.every) return [];
  const found = part.parts.map(draftsOf);
  return found.every((some) => some.length) ? found.flat() : [];
}

function grouped(parts, every) {
  return parts.length < 2 ? parts[0] ?? null : new Group(parts, every);
}

// What may have grown, as a tree.
function finished(part) {
  if (part instanceof Draft) return part.thing();
  if (part instanceof Negated) {
    const inner = finished(part.part);
    return inner.not ?? { not: inner };
  }
  if (!(part instanceof Group)) return part;
  const kind = part.every ? "all" : "any";
  const nodes = part.parts.map(finished).filter((node) => node !== null);
  const flat = nodes.flatMap((node) => node[kind] ?? [node]);
  const once = onceEach(flat);
  return once.length > 1 ? { [kind]: once } : once[0];
}
