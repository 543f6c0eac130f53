// A text in pieces, as kosmoscope.questions.language.tokens cuts it.

import { LANGUAGE, SPACE } from "./tables.js";

const { characters: MAX_CHARACTERS, tokens: MAX_TOKENS } = LANGUAGE.limits;
const LETTERS = "[\\p{L}\\p{N}]";
const TOKEN = new RegExp(
  [
    String.raw`folder:[${SPACE}]*(?<folder>"[^"]*"|[^${SPACE}"()]+)`,
    String.raw`(?<quoted>"[^"]*")`,
    String.raw`(?<number>[0-9]+(?:\.[0-9]+)?(?!${LETTERS}))`,
    String.raw`(?<word>${LETTERS}+(?:['\-]${LETTERS}+)*)`,
    String.raw`(?<mark>>=|<=|\.\.|[^${SPACE}])`,
  ].join("|"),
  "gu",
);
const WORD = new RegExp(String.raw`${LETTERS}+(?:['\-]${LETTERS}+)*`, "gu");
const UNSEEN = /[\p{Mn}\p{Me}\p{Cf}\p{Cs}\p{Co}\p{Cn}]/gu;

// The one spelling in which texts are compared.
export function spelled(text) {
  const quoted = text.replace(/[“”„‟«»〝〞]/gu, '"').replace(/[‘’ʼ]/gu, "'");
  const lower = quoted.normalize("NFKD").toLowerCase();
  return lower.normalize("NFKD").replace(UNSEEN, "").normalize("NFC");
}

export const wordsOf = (text) => spelled(text).match(WORD) ?? [];

// The tokens, and whether some of the text was left out for its length.
export function tokensOf(text) {
  const characters = text.length > MAX_CHARACTERS ? [...text] : null;
  const cut = characters !== null && characters.length > MAX_CHARACTERS;
  const read = cut ? characters.slice(0, MAX_CHARACTERS).join("") : text;
  const tokens = [];
  for (const { groups } of spelled(read).matchAll(TOKEN)) {
    if (tokens.length === MAX_TOKENS) return [tokens, true];
    const [kind, found] = Object.entries(groups).find(([, value]) => value !== undefined);
    tokens.push({ kind, text: kind === "mark" ? found : found.replace(/^"+|"+$/g, "") });
  }
  return [tokens, cut];
}
