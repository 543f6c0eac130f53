// What is shown: of `look`, `least` is the score from which on, `closer` says whether what goes
// beyond one look is shown too, and `masks` whether masks are.

// What a box counts with: its own score, else its phrase's. A given box has neither and stays.
export const boxScore = (entity, box) => box.score ?? entity.score ?? 1;

// Boxes beyond one look are shown while every object is wanted.
export const boxShown = (entity, box, look) =>
  (look.closer || !box.further) && boxScore(entity, box) >= look.least;

export function entityShown(entity, look) {
  if (!entity.boxes.length) return (entity.score ?? 1) >= look.least;
  return entity.boxes.some((box) => boxShown(entity, box, look));
}
