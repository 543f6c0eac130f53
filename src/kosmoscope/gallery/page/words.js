// Texts and numbers, as people compare and read them.

export const fold = (text) => text.normalize("NFKC").toLowerCase();
export const percent = (score) => `${Math.round(score * 100)}`;
export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

const SPOKEN = new Map([
  ["left", "left of"], ["right", "right of"], ["larger", "larger than"], ["smaller", "smaller than"],
]);
export const spokenRelation = (relation) => SPOKEN.get(relation) ?? relation;
