// What the server is asked: with its token where it wants one, and in sentences where it fails.

const TOKEN_KEY = "kosmoscope-token";
let token = stored();

function stored() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    return "";
  }
}

// Kept while this tab is open.
export function keepToken(text) {
  token = text;
  try {
    sessionStorage.setItem(TOKEN_KEY, text);
  } catch {
    // Then in memory alone.
  }
}

export class Refused extends Error {
  constructor(status, message, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

const SENTENCES = {
  0: "The server cannot be reached. Is it still running?",
  413: "The picture is larger than this server takes.",
  415: "This is not a picture that can be read here. JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF are.",
  500: "Something went wrong in the server; its log has more.",
  504: "It took too long, and the server gave up.",
};

// A failure as people say it.
export function sentence(error) {
  if (!(error instanceof Refused)) return `Something went wrong in this page: ${error.message}`;
  const { status, message, wait } = error;
  if (SENTENCES[status]) return SENTENCES[status];
  if (status === 429) return `The server is busy. Try again in ${wait > 1 ? `${wait} seconds` : "a moment"}.`;
  if (status === 503) return /being loaded/.test(message) ? "The model is still loading." : `The server says: ${message}.`;
  return `That cannot be done: ${message}${/[.!?]$/.test(message) ? "" : "."}`;
}

async function refusal(answer) {
  let message = answer.statusText || `status ${answer.status}`;
  try {
    message = (await answer.json()).error.message;
  } catch {
    // Not of this server: a proxy's page.
  }
  return new Refused(answer.status, message, Number(answer.headers.get("Retry-After")) || 0);
}

// Asks for the token, again and again, until it is right or the visitor gives up.
let askToken = async () => false;
export function onTokenNeeded(ask) {
  askToken = ask;
}

export async function request(path, { headers = {}, ...options } = {}) {
  for (;;) {
    let answer;
    try {
      const authorization = token ? { Authorization: `Bearer ${token}` } : {};
      answer = await fetch(path, { cache: "no-store", ...options, headers: { ...headers, ...authorization } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, error.message);
    }
    if (answer.ok) return answer;
    const error = await refusal(answer);
    if (error.status !== 401 || !(await askToken(token !== ""))) throw error;
  }
}

function form(picture, fields) {
  const body = new FormData();
  body.set("image", picture.file, picture.name);
  for (const [name, value] of Object.entries(fields)) {
    body.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return body;
}

// Ask about a picture: by its id while the server knows it, else with its file.
export async function post(verb, picture, fields, options = {}) {
  if (picture.id) {
    try {
      return await request(`/api/v1/${verb}`, {
        ...options,
        method: "POST",
        headers: { ...options.headers, "Content-Type": "application/json" },
        body: JSON.stringify({ picture_id: picture.id, ...fields }),
      });
    } catch (error) {
      if (error.status !== 404 || !picture.file) throw error;
      picture.id = ""; // forgotten
    }
  }
  return request(`/api/v1/${verb}`, { ...options, method: "POST", body: form(picture, fields) });
}

// Server-sent events of an answer to a POST, which EventSource cannot send.
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, error.message);
    }
    if (part.done) return;
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const of = (field) => lines.find((line) => line.startsWith(`${field}: `))?.slice(field.length + 2);
      const data = of("data");
      if (data === undefined) continue; // a comment, against silence
      const name = of("event");
      const value = JSON.parse(data);
      if (name === "error") throw new Refused(value.error.code, value.error.message);
      yield { name, data: value };
    }
  }
}
