// The rows that kosmoscope/gallery/records.py writes, as objects.

const META = JSON.parse(document.getElementById("meta").textContent);
const STEPS = 10000;

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

function readPicture([id, name, width, height, thumb, href, problem, entries], index) {
  return {
    id, index, name, width, height, problem,
    thumb: thumb && `thumbs/${thumb}`,
    href: thumb && META.base + href,
    entries: entries.map(readEntry),
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

function entryMatches(entry, query, look) {
  if (query === "" && look.least === 0) return true;
  return entry.entities.some(
    (e) => (query === "" || e.key.includes(query)) && entityShown(e, look),
  );
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const SORTS = {
  name: (a, b) => collator.compare(a.name, b.name),
  score: (a, b) => (b.entries[b.tab].mean ?? -1) - (a.entries[a.tab].mean ?? -1),
  boxes: (a, b) => b.entries[b.tab].boxes - a.entries[a.tab].boxes,
};

// The pictures that match, in order. A tab that does not match gives way to one that does.
function select(pictures, look) {
  const { query, sort, reverse } = look;
  const wanted = fold(query.trim());
  const found = pictures.filter((p) => {
    if (entryMatches(p.entries[p.tab], wanted, look)) return true;
    const other = p.entries.findIndex((entry) => entryMatches(entry, wanted, look));
    if (other >= 0) p.tab = other;
    return other >= 0;
  });
  const order = SORTS[sort];
  found.sort((a, b) => (reverse ? -order(a, b) : order(a, b)) || a.index - b.index);
  return found;
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
