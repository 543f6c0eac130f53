// What is taken away: text and JSON to paste, files to keep.

import { post } from "./api.js";

// The result as the package's own reader takes it, by the picture's own name.
export function jsonOf(picture, entry) {
  const { picture_id: _, colours: __, ...result } = entry.result;
  return JSON.stringify({ ...result, image: { ...result.image, path: picture.name } }, null, 1);
}

export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Pages of other machines without TLS have no clipboard of the new kind.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser does not let this page copy");
}

const stem = (name) => name.replace(/\.[^.]*$/, "") || "picture";

function keep(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// What each choice of the menu asks the server for, and how the file is called.
const KINDS = {
  coco: { to: "coco", file: "labels.json", ending: "-coco.json" },
  masks: { to: "coco-instances", ending: "-coco-masks.json" },
  png: { to: "png", ending: "-boxes.png" },
  svg: { to: "svg", ending: "-boxes.svg" },
  cutout: { to: "cutout", ending: "-cutout.png" },
};

// Save an answer. `entity`: of a cut-out, this one alone; `least`: boxes from this score on.
export async function save(kind, picture, entry, { entity = null, least = 0 } = {}) {
  if (kind === "json") {
    keep(new Blob([jsonOf(picture, entry)], { type: "application/json" }), `${stem(picture.name)}.json`);
    return;
  }
  const { ending, ...wanted } = KINDS[kind];
  const fields = { ...wanted, description: entry.result, name: picture.name };
  if (least) fields.min_score = least;
  if (kind === "cutout" && entity !== null) fields.entity = entity;
  const answer = await post("export", picture, fields);
  keep(await answer.blob(), `${stem(picture.name)}${ending}`);
}
