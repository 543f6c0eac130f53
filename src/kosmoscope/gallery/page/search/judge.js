// How likely a picture satisfies a question, and by what: kosmoscope.questions.evaluate.rules.
//
// A record is {things, words, folder, taken}; `words` a Set, `taken` an ISO day or null. A thing is
// {noun, words, probability, box, colours, number}; `box` in whole units, null where it was named and
// not located.

import { SOME } from "./amounts.js";
import { chanceOf, noneOf } from "./chance.js";
import { SIZE_WORDS, anyOf } from "./drafts.js";
import { isAt, isOfSize, liesTo } from "./space.js";
import { LANGUAGE } from "./tables.js";
import { nodeWording } from "./wording.js";

const { unsaid: UNSAID, unread: UNREAD, shown: SHOWN, anything: ANY_THING } = LANGUAGE.rules;

// `meaning`: noun -> a Set of the nouns that it means.
export class Judge {
  constructor(record, meaning, score) {
    this.record = record;
    this.meaning = meaning;
    this.score = score;
    this.kept = new Map();
  }

  // How likely as many happen as a count asks for.
  counted(count, chances) {
    if (count === undefined) return 1 - noneOf(chances);
    return chanceOf(count, chances, this.record.things.map((seen) => seen.number));
  }

  chance(node) {
    const { words, taken, folder } = this.record;
    if (node.thing !== undefined) return this.thing(node);
    if (node.words) return UNREAD ** node.words.filter((word) => !words.has(word)).length;
    if (node.taken) {
      const [first, last] = node.taken;
      const fits = taken && (first === null || first <= taken) && (last === null || taken <= last);
      return fits ? 1 : 0;
    }
    if (node.folder !== undefined) return inFolder(node.folder, folder) ? 1 : 0;
    if (node.not) return 1 - this.chance(node.not);
    if (node.all) return node.all.reduce((p, part) => p * this.chance(part), 1);
    return 1 - noneOf(node.any.map((part) => this.chance(part)));
  }

  thing(thing) {
    const each = this.each(thing);
    const count = thing.count ?? SOME;
    let p = this.counted(thing.count, each);
    if (count[0] > 0 && p > 0) {
      for (const related of thing.related ?? []) {
        const some = !related.negated && anyOf(related).every(({ count = SOME }) => count[0] > 0);
        if (some) p = Math.min(p, this.anyOther(each, related));
      }
    }
    return p;
  }

  // Of each of the record's things, how likely it is one that is asked for.
  each(thing) {
    let each = this.kept.get(thing);
    if (each === undefined) {
      const meant = this.meant(thing.thing);
      each = this.record.things.map((seen, i) => (meant[i] ? this.one(thing, i, seen) : 0));
      this.kept.set(thing, each);
    }
    return each;
  }

  // Which things a noun means; where some have boxes, the others are the same again.
  meant(noun) {
    const { things } = this.record;
    if (noun === ANY_THING) return things.map((seen) => seen.box !== null);
    const nouns = this.meaning(noun);
    const located = things.some((seen) => seen.box !== null && nouns.has(seen.noun));
    return things.map((seen) => nouns.has(seen.noun) && (!located || seen.box !== null));
  }

  one(thing, index, seen) {
    const [low, high] = this.score;
    if (seen.probability < low || seen.probability > high) return 0;
    let p = seen.probability;
    for (const colour of thing.colours ?? []) {
      p *= seen.colours.length ? Number(seen.colours.includes(colour)) : UNSAID;
    }
    if (thing.size) p *= sizeChance(thing.size, seen);
    for (const place of thing.places ?? []) p *= seen.box !== null && isAt(place, seen.box) ? 1 : 0;
    for (const word of thing.words ?? []) {
      if (!seen.words.includes(word)) p *= Math.max(UNSAID, this.thing({ thing: word }));
    }
    for (const related of thing.related ?? []) p *= p > 0 ? this.standing(index, related) : 1;
    return p;
  }

  standing(index, related) {
    const none = noneOf(anyOf(related).map((to) => {
      const others = this.each(to);
      const chances = others.map((p, j) => (p > 0 && this.holds(related, index, j) ? p : 0));
      return this.counted(to.count, chances);
    }));
    return related.negated ? none : 1 - none;
  }

  holds({ relation }, i, j) {
    const { things } = this.record;
    const [a, b] = [things[i].box, things[j].box];
    if (i === j) return false;
    // "on a beach", where the beach was named alone.
    if (a === null || b === null) return relation === "touching";
    return liesTo(relation, a, b);
  }

  // How likely something is there to which any of them stands.
  anyOther(each, related) {
    const stoodTo = (_, j) => each.some((q, i) => q > 0 && this.holds(related, i, j));
    return 1 - noneOf(anyOf(related).flatMap((to) => this.each(to).filter(stoodTo)));
  }

  // What speaks for a node: {part, thing, probability, relation, other}, things as indices.
  evidence(node) {
    if (node.thing !== undefined) return (node.count ?? SOME)[0] > 0 ? this.thingEvidence(node) : [];
    return (node.all ?? node.any ?? []).flatMap((part) => this.evidence(part));
  }

  thingEvidence(thing) {
    const part = nodeWording(thing);
    const likely = [...this.each(thing).entries()].filter(([, p]) => p >= SHOWN);
    return likely.sort((a, b) => b[1] - a[1]).flatMap(([i, probability]) => {
      const alone = { part, thing: i, probability, relation: "", other: null };
      const related = (thing.related ?? [])
        .map((r) => ({ ...alone, relation: r.relation, other: r.negated ? null : this.best(i, r) }))
        .filter(({ other }) => other !== null);
      return related.length ? related : [alone];
    });
  }

  best(index, related) {
    let [best, likeliest] = [null, 0];
    for (const to of anyOf(related)) {
      this.each(to).forEach((p, j) => {
        const better = p > likeliest || (p === likeliest && j < best);
        if (p > 0 && better && this.holds(related, index, j)) [best, likeliest] = [j, p];
      });
    }
    return best;
  }
}

function sizeChance(size, seen) {
  if (seen.words.some((word) => SIZE_WORDS.get(word) === size)) return 1;
  if (seen.box === null) return UNSAID;
  return isOfSize(size, seen.box) ? 1 : 0;
}

const inFolder = (name, folder) => `/${folder}/`.includes(`/${name}/`) || name === folder;

export function evaluate({ find, score }, record, meaning) {
  if (find === null) return { probability: 1, evidence: [] };
  const judge = new Judge(record, meaning, score);
  const probability = judge.chance(find);
  const evidence = judge.evidence(find).map((one) => [JSON.stringify(one), one]);
  return { probability, evidence: [...new Map(evidence).values()] };
}
