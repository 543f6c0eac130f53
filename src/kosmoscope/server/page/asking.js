// A question on its way: what comes back piece by piece goes into its entry.

import { events, post } from "./api.js";
import { readEntity, readResult } from "./result.js";

const LOADING = /being loaded/;

// When the model is there.
export async function loaded(signal) {
  while (!(await fetch("/health", { signal })).ok) await new Promise((done) => setTimeout(done, 700));
}

// `changed(what)`: "text", "entity", or "waiting" while the model is being loaded.
export async function ask(picture, entry, signal, changed) {
  for (;;) {
    try {
      await listen(picture, entry, signal, changed);
      return;
    } catch (error) {
      if (error.status !== 503 || !LOADING.test(error.message)) throw error;
      entry.waiting = "The model is still loading";
      changed("waiting");
      await loaded(signal);
      entry.waiting = "";
    }
  }
}

async function listen(picture, entry, signal, changed) {
  const answer = await post(entry.verb, picture, { ...entry.fields, stream: true }, { signal });
  for await (const { name, data } of events(answer)) {
    if (name === "picture") picture.id = data.picture_id;
    else if (name === "text") {
      entry.caption += data.text;
      changed("text");
    } else if (name === "entity") {
      entry.entities.push(readEntity(data, entry.entities.length, entry.caption, data.colour));
      changed("entity");
    } else if (name === "result") {
      picture.id = data.picture_id;
      Object.assign(entry, readResult(data));
      return;
    }
  }
  throw new Error("the answer broke off");
}

// Sentences are read out as they are whole: returns what is told the text so far.
export function reader(say) {
  let heard = 0;
  return (text, last = false) => {
    const end = last ? text.length : text.lastIndexOf(". ") + 1;
    if (end > heard) say(text.slice(heard, end).trim());
    heard = Math.max(heard, end);
  };
}
