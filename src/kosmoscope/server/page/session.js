// The pictures of this visit and what was said of them; nothing outlives the tab.

let count = 0;

// The size as it is shown, upright; null where this browser cannot show the file.
async function measured(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null;
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

export async function makePicture(file, name) {
  const url = URL.createObjectURL(file);
  const size = await measured(url);
  if (!size) URL.revokeObjectURL(url);
  count += 1;
  return {
    number: count, file, name, id: "", // `id`: what the server knows it by
    thumb: size ? url : "", href: "", problem: "This browser has no way to show it. The model may read it all the same.",
    width: size?.width ?? 4, height: size?.height ?? 3,
    entries: [], at: -1, box: null,
  };
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
