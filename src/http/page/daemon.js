// Asks the daemon: answers, and the stream of server-sent events, which goes on after a restart.

const TOKEN = "thalweg.token";
/** Milliseconds without a word after which a stream is taken for dead; standings come each second. */
const SILENCE = 6000;
const RETRY = 1000;

/** The daemon wants a token, or another one. */
export class TokenNeeded extends Error {}

export const setToken = (token) => sessionStorage.setItem(TOKEN, token);

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  const response = await fetch(path, { cache: "no-store", ...options, headers });
  if (response.status === 401) throw new TokenNeeded();
  if (!response.ok) throw new Error(reason(await response.text()) || `${path}: ${response.status}`);
  return response;
}

/** What an answer that is an error says: of a text itself, of JSON its message. */
function reason(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return text.trim();
  }
}

export const json = async (path, options) => (await ask(path, options)).json();

/** Lines of JSON. */
export async function lines(path) {
  const text = await (await ask(path)).text();
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Cuts what comes into server-sent events. */
async function* events(body) {
  let text = "";
  for await (const part of parts(body.pipeThrough(new TextDecoderStream()))) {
    text += part;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = {};
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
      }
      text = text.slice(end + 2);
      if (event.data) yield { id: event.id, kind: event.event, data: JSON.parse(event.data) };
    }
  }
}

// Not every browser can iterate over a stream.
async function* parts(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** Listens until closed; `take` gets each event, `tell` whether it is heard. Returns what closes it. */
export function listen(path, take, tell) {
  const closing = new AbortController();
  let last;
  const once = async () => {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENCE);
    try {
      const headers = last ? { "last-event-id": last } : {};
      const response = await ask(path, { headers, signal: AbortSignal.any([closing.signal, silent.signal]) });
      for await (const event of events(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE);
        last = event.id ?? last;
        if (closing.signal.aborted) return;
        tell(true);
        take(event);
      }
    } finally {
      clearTimeout(timer);
    }
  };
  (async () => {
    while (!closing.signal.aborted) {
      try {
        await once();
      } catch (error) {
        if (closing.signal.aborted) return;
        tell(false, error);
        if (error instanceof TokenNeeded) return;
      }
      if (closing.signal.aborted) return;
      tell(false);
      await new Promise((done) => setTimeout(done, RETRY));
    }
  })();
  return () => closing.abort();
}
