// A place in a question's tokens, and what stands there and after it.

export class Cursor {
  constructor(tokens) {
    this.tokens = tokens;
    this.at = 0;
    this.notes = [];
  }

  // What was read in another way than it may have been meant.
  note(text) {
    this.notes.push(text);
  }

  get ended() {
    return this.at >= this.tokens.length;
  }

  get text() {
    return this.tokens[this.at].text;
  }

  // The token of a kind, "" where there is another or none.
  find(kind, ahead) {
    const token = this.tokens[this.at + ahead];
    return token?.kind === kind ? token.text : "";
  }

  word(ahead = 0) {
    return this.find("word", ahead);
  }

  marks(marks, ahead = 0) {
    const mark = this.find("mark", ahead);
    return mark !== "" && marks.split(" ").includes(mark);
  }

  // How many words the longest of these phrases that stands there has.
  phrase(phrases, ahead = 0) {
    return phrases.lengthAt((i) => this.word(ahead + i));
  }

  // The next so many tokens' texts.
  take(length) {
    this.at += length;
    return this.tokens.slice(this.at - length, this.at).map((token) => token.text);
  }

  skip(words) {
    while (words.has(this.word())) this.at += 1;
  }

  past(words, ahead) {
    let there = ahead;
    while (words.has(this.word(there))) there += 1;
    return there;
  }
}
