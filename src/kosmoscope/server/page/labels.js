// Every pixel with its name: run lengths -> labels -> a canvas over the picture.

const LONGEST = 1400; // pixels of the canvas: a screen shows no more
const FILL = 0.4;
const REGION_FILL = 0.16;

// COCO's compressed run lengths: five bits a character, differences from the run before the last.
export function* runsOf(counts) {
  const before = [];
  for (let at = 0; at < counts.length; ) {
    let [value, shift, more] = [0, 0, true];
    while (more) {
      const bits = counts.charCodeAt(at++) - 48;
      value |= (bits & 31) << shift;
      shift += 5;
      more = (bits & 32) !== 0;
      if (!more && bits & 16) value |= -1 << shift;
    }
    if (before.length > 2) value += before[before.length - 2];
    before.push(value);
    yield value;
  }
}

// `counts` go down the columns; of a large picture every so many pixels are taken. What belongs to an
// entity has its colour.
export function readLabels(data, entities) {
  const { width: fullW, height: fullH } = data.image;
  const step = Math.max(1, Math.max(fullW, fullH) / LONGEST);
  const [width, height] = [Math.max(1, Math.round(fullW / step)), Math.max(1, Math.round(fullH / step))];
  const at = (i, from, to) => Math.min(from - 1, Math.floor((i + 0.5) * from / to));
  // Of each full row or column: how many that are taken come before it.
  const before = (from, to) => {
    const count = new Uint32Array(from + 1);
    for (let i = 0; i < to; i++) count[at(i, from, to) + 1]++;
    for (let i = 0; i < from; i++) count[i + 1] += count[i];
    return count;
  };
  const [columns, rows] = [before(fullW, width), before(fullH, height)];
  const map = new Uint16Array(width * height);
  for (const { id, rle } of data.segments) {
    let [begin, inside] = [0, false];
    for (const run of runsOf(rle.counts)) {
      const end = begin + run;
      for (let column = Math.floor(begin / fullH); inside && column * fullH < end; column++) {
        const x = columns[column];
        if (columns[column + 1] === x) continue; // not taken
        const top = Math.max(0, begin - column * fullH);
        const bottom = Math.min(fullH, end - column * fullH);
        for (let y = rows[top]; y < rows[bottom]; y++) map[y * width + x] = id;
      }
      begin = end;
      inside = !inside;
    }
  }
  const all = fullW * fullH;
  const names = [{ phrase: "rest", kind: "rest", entity: null, share: data.rest_px / all },
    ...data.segments.map(({ phrase, kind, entity, area_px: px }) => ({ phrase, kind, entity, share: px / all }))];
  names.forEach((name, id) => {
    name.id = id;
    name.colour = entities[name.entity]?.colour ?? data.colours[id];
  });
  return { width, height, map, names };
}

export const share = (name) => {
  const percent = name.share * 100;
  return percent > 0 && percent < 1 ? "under 1 %" : `${Math.round(percent)} %`;
};

// The name of the pixel at (x, y), fractions of the picture.
export function nameAt({ width, height, map, names }, x, y) {
  const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
  return names[map[row * width + column]];
}

// `lit(name)`: it stands out and the rest steps back; null: nothing does. `shown(name)`: it counts.
export function paint(canvas, { width, height, map, names }, { lit, shown }) {
  const rgba = names.map((name) => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(name.colour.slice(at, at + 2), 16));
    const seen = name.kind !== "rest" && shown(name);
    if (lit && !lit(name)) return { r: 8, g: 9, b: 11, fill: 0.5, edge: 0.5 };
    if (!seen) return { r, g, b, fill: 0, edge: 0 };
    if (lit) return { r, g, b, fill: 0.34, edge: 1 };
    const region = name.kind === "region";
    return { r, g, b, fill: region ? REGION_FILL : FILL, edge: region ? 0.45 : 0.95 };
  });
  const image = new ImageData(width, height);
  const { data } = image;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const label = map[at];
      const edge = (x + 1 < width && map[at + 1] !== label) || (y + 1 < height && map[at + width] !== label)
        || (x > 0 && map[at - 1] !== label) || (y > 0 && map[at - width] !== label);
      const { r, g, b, fill, edge: line } = rgba[label];
      data[at * 4] = r;
      data[at * 4 + 1] = g;
      data[at * 4 + 2] = b;
      data[at * 4 + 3] = 255 * (edge ? line : fill);
    }
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
