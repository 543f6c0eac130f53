// What is said of an answer: how the question was read, what speaks for a picture, what is nearest.

import { el } from "./dom.js";
import { plural } from "./words.js";

const shareOf = (chance) => {
  const rounded = Math.round(chance * 100);
  return rounded === 0 ? "less than 1 %" : `${rounded} %`;
};

// Under the box: the canonical words, where they are others, and what was read in another way.
export function readingOf(question, answer) {
  if (!question) return [];
  const lines = [];
  const { said, query, text } = question;
  if (said && said !== text) lines.push(["Read as ", el("b", {}, el("bdi", { text: said }))]);
  if (!said) lines.push(["Nothing is asked for"]);
  for (const note of query.notes) lines.push([el("bdi", { text: note })]);
  const byText = answer.found.length - answer.likely;
  if (byText) lines.push([`${plural(byText, "picture")} because a phrase has these letters`]);
  return lines.flatMap((line, i) => (i ? [" · ", ...line] : line));
}

// On a card: how likely, and by what. Null where nothing is asked.
export function evidenceLine(evidence) {
  if (!evidence) return null;
  const lines = [...new Set(evidence.lines)].slice(0, 4);
  return el("p", { class: "why" }, el("b", { text: `${shareOf(evidence.chance)} likely` }),
    ...lines.flatMap((line) => [" · ", el("bdi", { text: line })]));
}

export const nearestText = (picture) => [
  "Nearest comes ", el("bdi", { text: picture.name }), `, ${shareOf(picture.chance)} likely.`,
];
