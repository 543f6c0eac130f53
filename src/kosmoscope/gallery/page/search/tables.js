// The words and the numbers of the language, as the package has them (gallery/language.py).

export const LANGUAGE = JSON.parse(document.getElementById("language").textContent);

// Space as Python has it; for use inside a class of a regular expression.
export const SPACE = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

// Words of a closed class.
export const wordSet = (words) => new Set(words);

export const ARTICLES = wordSet(LANGUAGE.lexicon.articles);

// Phrases of one or more words, of which the longest that stands somewhere is meant.
export class Phrases {
  constructor(table) {
    const entries = Array.isArray(table) ? table.map((text) => [text, text]) : Object.entries(table);
    this.values = new Map(entries);
    this.longest = Math.max(...entries.map(([text]) => text.split(" ").length));
  }

  // How many words it has, 0 for none; `wordAt(i)` is "" where there is no word.
  lengthAt(wordAt) {
    let [text, best] = ["", 0];
    for (let n = 1; n <= this.longest; n++) {
      const word = wordAt(n - 1);
      if (!word) break;
      text = n === 1 ? word : `${text} ${word}`;
      if (this.values.has(text)) best = n;
    }
    return best;
  }

  value(text) {
    return this.values.get(text);
  }
}
