// What nouns mean: other words for a thing, and its kinds. A line for a sense: the nouns by which a
// picture's text says it, those by which only a question means it, the lines of which it is a kind.

export class Meanings {
  constructor(lines) {
    this.said = lines.map((line) => line.split("|")[0].split(",").filter(Boolean));
    this.senses = new Map();
    this.kinds = lines.map(() => []);
    this.known = new Map();
    lines.forEach((line, i) => {
      const [, asked, above] = line.split("|");
      for (const noun of [...this.said[i], ...asked.split(",").filter(Boolean)]) {
        this.senses.set(noun, [...(this.senses.get(noun) ?? []), i]);
      }
      for (const one of above.split(" ").filter(Boolean)) this.kinds[one].push(i);
    });
  }

  // The nouns of pictures' texts that a noun means, itself among them.
  of(noun) {
    let nouns = this.known.get(noun);
    if (nouns === undefined) {
      const senses = new Set(this.senses.get(noun));
      // What is added while a set is gone through is gone through as well.
      for (const sense of senses) for (const kind of this.kinds[sense]) senses.add(kind);
      nouns = new Set([noun, ...[...senses].flatMap((sense) => this.said[sense])]);
      this.known.set(noun, nouns);
    }
    return nouns;
  }
}
