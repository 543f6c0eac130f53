// The pictures of this visit and what was said of them; nothing outlives the tab.

import { readResult } from "./result.js";

const CELL = 1 / 32; // of the model's grid: an index may know a box's place within it
const SIDES = ["x1", "y1", "x2", "y2"];

let count = 0;

// The size as it is shown, upright; null where this browser cannot show the file. Nothing is decoded yet.
function sizeOf(url) {
  return new Promise((done) => {
    const image = new Image();
    image.onload = () => done({ width: image.naturalWidth, height: image.naturalHeight });
    image.onerror = () => done(null);
    image.src = url;
  });
}

// `id`: what the server knows it by; `file`: null where it came from there.
function numbered(picture) {
  count += 1;
  return { number: count, href: "", problem: "", entries: [], at: -1, box: null, ...picture };
}

// At once, so that it can be asked about; `measure` then says how it is shown.
export function makePicture(file, name) {
  return numbered({ file, name, id: "", thumb: "", width: 0, height: 0 });
}

export async function measure(picture) {
  const url = URL.createObjectURL(picture.file);
  const size = await sizeOf(url);
  if (size) Object.assign(picture, size, { thumb: url });
  else {
    URL.revokeObjectURL(url);
    picture.problem = "This browser has no way to show it. The model may read it all the same.";
    // The answer may have come first, and says how large it is.
    if (!picture.width) Object.assign(picture, { width: 4, height: 3 });
  }
}

// A picture that a search found, with what was said of it before; `evidence`: its boxes, a Set.
export function foundPicture({ id, name, width, height, evidence }, thumb, descriptions) {
  const speaks = (entity, box) => [...evidence.entities].some(({ phrase, boxes }) => phrase === entity.phrase
    && boxes.some((one) => SIDES.every((side) => Math.abs(one[side] - box[side]) <= CELL)));
  const entries = descriptions.map(({ task, ...result }) => {
    const read = readResult(result);
    const several = descriptions.length > 1 ? `, ${task}` : "";
    return { ...makeEntry({ verb: "found", fields: { task }, title: `Described before${several}` }), busy: false, ...read,
      notes: [...read.notes, `By ${result.model}, when the folder was described.`],
      evidence: new Set(read.entities.flatMap((entity) => entity.boxes.filter((box) => speaks(entity, box)))) };
  });
  return numbered({ id, file: null, name, thumb, width, height, entries, at: 0 });
}

// What is asked: the server's verb and fields, and how people call it.
export const WISHES = {
  brief: () => ({ verb: "describe", fields: { prompt: "brief" }, title: "In brief" }),
  detailed: () => ({ verb: "describe", fields: { prompt: "detailed" }, title: "In detail" }),
  find: (phrase) => ({ verb: "ground", fields: { phrase }, title: `Where is “${phrase}”?` }),
  ask: (question, box) => ({
    verb: "ask", fields: box ? { question, box } : { question },
    title: box ? `${question} (in the box)` : question, box,
  }),
  refer: (box) => ({ verb: "refer", fields: { box }, title: "What is in the box?", box }),
};

export function makeEntry(wish) {
  return { ...wish, busy: true, error: "", caption: "", entities: [], finish: "", notes: [],
    seconds: null, result: null, labels: null };
}

const same = (a, b) => JSON.stringify([a.verb, a.fields]) === JSON.stringify([b.verb, b.fields]);

// Where the same was answered already; -1: nowhere.
export function answered(picture, wish) {
  return picture.entries.findIndex((entry) => entry.result !== null && same(entry, wish));
}
