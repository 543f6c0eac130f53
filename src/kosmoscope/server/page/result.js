// The server's JSON, in the form that the stage and the phrases are drawn from.

import { fold } from "./words.js";

// Spans count code points, JavaScript's strings in units of UTF-16.
function units(text, at) {
  return [...text].slice(0, at).join("").length;
}

export function readEntity(data, n, caption, colour) {
  const [start, end] = data.span.map((at) => units(caption, at));
  const inside = data.phrase !== "" && caption.slice(start, end) === data.phrase;
  return {
    n, colour, phrase: data.phrase, key: fold(data.phrase), score: data.score,
    start: inside ? start : -1, end: inside ? end : -1, cut: !data.complete, mask: "",
    boxes: data.boxes.map((box) => ({
      x1: box.xyxy[0], y1: box.xyxy[1], x2: box.xyxy[2], y2: box.xyxy[3],
      score: box.confidence ?? box.score, further: false,
    })),
  };
}

export function readResult(result) {
  const { caption, entities, colours } = result;
  return {
    caption, result, finish: result.finish_reason, notes: result.warnings,
    entities: entities.map((e, n) => readEntity(e, n, caption, colours[e.phrase])),
  };
}
