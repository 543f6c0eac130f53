// Texts and numbers, as people compare and read them.

export const fold = (text) => text.normalize("NFKC").toLowerCase();
export const percent = (score) => `${Math.round(score * 100)}`;
export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
