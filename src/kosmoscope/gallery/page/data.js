// The rows that kosmoscope/gallery/records.py writes, as objects.

const META = JSON.parse(document.getElementById("meta").textContent);
const STEPS = 10000;
const meanings = new Meanings(META.kinds);

function readBoxes(flat) {
  const boxes = [];
  for (let i = 0; i < flat.length; i += 5) {
    const [x1, y1, x2, y2] = flat.slice(i, i + 4).map((v) => v / STEPS);
    boxes.push({ x1, y1, x2, y2, score: flat[i + 4] === null ? null : flat[i + 4] / 1000 });
  }
  return boxes;
}

function readEntity([start, end, extra, colour, score, cut, boxes, mask, own], n, caption) {
  const phrase = start < 0 ? extra : caption.slice(start, end);
  return {
    n, start, end, phrase, key: fold(phrase), colour: `#${colour}`, cut: Boolean(cut),
    score: score === null ? null : score / 1000, mask: mask ?? "",
    boxes: readBoxes(boxes).map((box, i) => ({ ...box, further: own !== undefined && i >= own })),
  };
}

function readEntry([prompt, model, finish, caption, notes, entities]) {
  const read = entities.map((row, i) => readEntity(row, i, caption));
  const scores = read.flatMap((e) => e.boxes.map((b) => b.score)).filter((s) => s !== null);
  return {
    prompt: META.prompts[prompt], model: META.models[model], finish, caption, notes,
    entities: read,
    boxes: read.reduce((n, e) => n + e.boxes.length, 0),
    mean: scores.length ? scores.reduce((a, b) => a + b, 0) / scores.length : null,
  };
}

function readPicture([id, name, width, height, thumb, href, problem, entries, things, taken], index) {
  return {
    id, index, name, width, height, problem,
    thumb: thumb && `thumbs/${thumb}`,
    href: thumb && META.base + href,
    entries: entries.map(readEntry),
    things, taken,
    tab: 0,
  };
}

// Pictures, or null: the folder of data is not where it should be.
function readAll() {
  let rows = [];
  if (META.chunks) {
    const chunks = globalThis.kosmoscopeData ?? [];
    for (let i = 0; i < META.chunks; i++) if (!chunks[i]) return null;
    rows = chunks.flat();
  } else {
    for (const script of document.querySelectorAll("script.pictures")) {
      rows.push(...JSON.parse(script.textContent));
    }
  }
  return rows.map(readPicture);
}

const entryShown = (entry, look) =>
  look.least === 0 || entry.entities.some((e) => entityShown(e, look));

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const SORTS = {
  name: (a, b) => collator.compare(a.name, b.name),
  score: (a, b) => (b.entries[b.tab].mean ?? -1) - (a.entries[a.tab].mean ?? -1),
  boxes: (a, b) => b.entries[b.tab].boxes - a.entries[a.tab].boxes,
  match: (a, b) => b.chance - a.chance,
};

// The pictures of which something is shown. A tab without gives way to one with.
function filtered(pictures, look) {
  return pictures.filter((p) => {
    if (entryShown(p.entries[p.tab], look)) return true;
    const other = p.entries.findIndex((entry) => entryShown(entry, look));
    if (other >= 0) p.tab = other;
    return other >= 0;
  });
}

function sorted(pictures, sort, reverse) {
  const order = SORTS[sort];
  return pictures.sort((a, b) => (reverse ? -order(a, b) : order(a, b)) || a.index - b.index);
}

function frequentPhrases(pictures, most) {
  const counts = new Map();
  for (const p of pictures) {
    for (const entry of p.entries) {
      for (const e of entry.entities) {
        if (e.phrase) counts.set(e.key, (counts.get(e.key) ?? 0) + 1);
      }
    }
  }
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, most).map(([phrase]) => phrase);
}
