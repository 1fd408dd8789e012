// Server-sent events, read from pieces of text as they come. No DOM here: tested with node.

/**
 * A reader of one stream.
 *
 * @param {(event: string, data: string, id: string) => void} on called for each event that has data.
 * @returns {(piece: string) => void} give it what has come, in order; nothing of it is kept but an event's beginning.
 */
export function reader(on) {
  let rest = "";
  let event = "";
  let id = "";
  let data = [];
  const line = (text) => {
    if (text === "") {
      if (data.length > 0) on(event || "message", data.join("\n"), id);
      event = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment: the server says that it is still there
    const field = colon < 0 ? text : text.slice(0, colon);
    let value = colon < 0 ? "" : text.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id") id = value;
  };
  return (piece) => {
    let text = rest + piece;
    // A carriage return at the end may be the first half of a line end.
    const held = text.endsWith("\r") ? "\r" : "";
    if (held) text = text.slice(0, -1);
    let from = 0;
    const end = /\r\n|\n|\r/g;
    end.lastIndex = rest.length > 0 ? Math.max(0, rest.length - 1) : 0;
    for (let found = end.exec(text); found !== null; found = end.exec(text)) {
      line(text.slice(from, found.index));
      from = found.index + found[0].length;
    }
    rest = text.slice(from) + held;
  };
}

/** Seconds until the `attempt`-th attempt, the first being 0: doubling from half a second to `most`, with jitter. */
export function backoff(attempt, random = Math.random, most = 15) {
  const full = Math.min(most, 0.5 * 2 ** Math.min(attempt, 20));
  return full / 2 + (full / 2) * random();
}
