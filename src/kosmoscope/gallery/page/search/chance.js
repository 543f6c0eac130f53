// Probabilities of independent events.

import { isSome } from "./amounts.js";

export const noneOf = (chances) => chances.reduce((p, chance) => p * (1 - chance), 1);

// That from `low` to `high` things are there, of events that bring `numbers` each: the Poisson
// binomial distribution, summed up event by event.
function inRange(chances, numbers, low, high) {
  if (high === null) return low <= 0 ? 1 : 1 - inRange(chances, numbers, 0, low - 1);
  if (high < low) return 0;
  const exactly = new Array(high + 1).fill(0);
  exactly[0] = 1;
  chances.forEach((p, i) => {
    if (p === 0) return;
    for (let k = high; k >= 0; k--) {
      const came = k >= numbers[i] ? exactly[k - numbers[i]] * p : 0;
      exactly[k] = exactly[k] * (1 - p) + came;
    }
  });
  return exactly.slice(low).reduce((a, b) => a + b, 0);
}

export const chanceOf = (count, chances, numbers) =>
  isSome(count) ? 1 - noneOf(chances) : inRange(chances, numbers, ...count);
