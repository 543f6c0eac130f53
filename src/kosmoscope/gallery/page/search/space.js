// What boxes can tell. Boxes are [x1, y1, x2, y2] in whole units of the picture's sides, y down.

import { LANGUAGE } from "./tables.js";

const { scale: UNITS, touching_gap: TOUCHING_GAP, near_gap: NEAR_GAP, tolerance: TOLERANCE, edge: EDGE,
  large_area: LARGE_AREA, small_area: SMALL_AREA } = LANGUAGE.rules;

const covered = (box) => (box[2] - box[0]) * (box[3] - box[1]);

const within = (a, b, gap) =>
  a[0] - b[2] <= gap && b[0] - a[2] <= gap && a[1] - b[3] <= gap && b[1] - a[3] <= gap;

const lies = {
  left: (a, b) => a[0] + a[2] < 2 * b[0],
  right: (a, b) => a[0] + a[2] > 2 * b[2],
  above: (a, b) => a[1] + a[3] < 2 * b[1],
  below: (a, b) => a[1] + a[3] > 2 * b[3],
  inside: (a, b) =>
    a[0] >= b[0] - TOLERANCE && a[1] >= b[1] - TOLERANCE
    && a[2] <= b[2] + TOLERANCE && a[3] <= b[3] + TOLERANCE && covered(a) < covered(b),
  overlapping: (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3],
  touching: (a, b) => within(a, b, TOUCHING_GAP),
  near: (a, b) => within(a, b, NEAR_GAP),
  larger: (a, b) => covered(a) > covered(b),
  smaller: (a, b) => covered(a) < covered(b),
};

const middleX = (b) => 3 * (b[0] + b[2]);
const middleY = (b) => 3 * (b[1] + b[3]);
const central = (value) => value >= 2 * UNITS && value <= 4 * UNITS;

const stands = {
  left: (b) => middleX(b) < 2 * UNITS,
  right: (b) => middleX(b) > 4 * UNITS,
  top: (b) => middleY(b) < 2 * UNITS,
  bottom: (b) => middleY(b) > 4 * UNITS,
  middle: (b) => central(middleX(b)) && central(middleY(b)),
  background: (b) => b[1] + b[3] < UNITS,
  foreground: (b) => 4 * b[3] > 3 * UNITS,
  edge: (b) => b[0] <= EDGE || b[1] <= EDGE || b[2] >= UNITS - EDGE || b[3] >= UNITS - EDGE,
};

const measures = {
  large: (b) => covered(b) >= LARGE_AREA,
  small: (b) => covered(b) <= SMALL_AREA,
};

export const liesTo = (relation, a, b) => lies[relation](a, b);
export const isAt = (place, box) => stands[place](box);
export const isOfSize = (size, box) => measures[size](box);
