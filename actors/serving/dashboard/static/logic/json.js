// JSON that a person edits: where it is wrong, in words, and where in the text each value stands.

/** A mistake at a place of the text: `offset` in UTF-16 units, `line` and `column` from 1. */
export class Misplaced extends Error {
  constructor(message, text, offset) {
    super(message);
    this.offset = offset;
    Object.assign(this, position(text, offset));
  }
}

/** Line and column, counted from 1, of an offset. */
export function position(text, offset) {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPES = '"\\/bfnrt';
const DEEPEST = 200;

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.spans = new Map();
  }

  wrong(message, offset = this.at) {
    throw new Misplaced(message, this.text, offset);
  }

  blank() {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at++;
  }

  all() {
    this.value([]);
    this.blank();
    if (this.at < this.text.length) this.wrong("nothing may follow the value");
  }

  value(path) {
    if (path.length > DEEPEST) this.wrong(`nested more than ${DEEPEST} deep`);
    this.blank();
    const start = this.at;
    const first = this.text[start];
    if (first === undefined) this.wrong("a value is missing at the end");
    else if (first === "{") this.object(path);
    else if (first === "[") this.list(path);
    else if (first === '"') this.string();
    else if (first === "-" || (first >= "0" && first <= "9")) this.number();
    else this.word();
    this.spans.set(JSON.stringify(path), [start, this.at]);
  }

  object(path) {
    const seen = new Set();
    this.inside("}", () => {
      const start = this.at;
      if (this.text[this.at] !== '"') this.wrong('expected a name in double quotes, or "}"');
      const name = JSON.parse(this.string());
      if (seen.has(name)) this.wrong(`the name ${JSON.stringify(name)} is there twice`, start);
      seen.add(name);
      this.blank();
      if (this.text[this.at] !== ":") this.wrong('expected ":" after the name');
      this.at++;
      this.value([...path, name]);
    });
  }

  list(path) {
    let index = 0;
    this.inside("]", () => this.value([...path, String(index++)]));
  }

  inside(end, one) {
    this.at++;
    this.blank();
    if (this.text[this.at] === end) {
      this.at++;
      return;
    }
    for (;;) {
      one();
      this.blank();
      const next = this.text[this.at];
      if (next === end) {
        this.at++;
        return;
      }
      if (next !== ",") this.wrong(`expected "," or "${end}"`);
      this.at++;
      this.blank();
      if (this.text[this.at] === end) this.wrong(`a comma may not stand before "${end}"`, this.at);
    }
  }

  string() {
    const start = this.at++;
    for (;;) {
      const next = this.text[this.at];
      if (next === undefined) this.wrong("the text in quotes has no end", start);
      if (next < " ") this.wrong("a line or control character in quotes is written \\n, \\t or \\u00XX");
      this.at++;
      if (next === '"') return this.text.slice(start, this.at);
      if (next === "\\") this.escape();
    }
  }

  escape() {
    const next = this.text[this.at];
    if (next === "u") {
      if (!/^[0-9a-fA-F]{4}$/.test(this.text.slice(this.at + 1, this.at + 5)))
        this.wrong("\\u needs four hexadecimal digits", this.at - 1);
      this.at += 5;
    } else {
      if (next === undefined || !ESCAPES.includes(next)) this.wrong("no such escape; a backslash is written \\\\", this.at - 1);
      this.at++;
    }
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) this.wrong("a number has a digit after the minus");
    const end = this.at + found[0].length;
    if (/[0-9.eE+]/.test(this.text[end] ?? "")) this.wrong("not a number as JSON has it");
    if (!Number.isFinite(Number(found[0]))) this.wrong("the number is too large");
    this.at = end;
  }

  word() {
    const found = /^[^\s,\]}:]+/.exec(this.text.slice(this.at, this.at + 40))?.[0] ?? this.text[this.at];
    if (!["true", "false", "null"].includes(found)) {
      this.wrong(`${JSON.stringify(found)} is no value; texts stand in double quotes`);
    }
    this.at += found.length;
  }
}

function read(text) {
  const reader = new Reader(text);
  reader.all();
  return reader;
}

const LONGEST = 200_000;
const ROOM = 60; // characters within which what belongs together stays on one line

/** JSON with a line for each of its values that is not short; every number and text as it was written; what is no JSON, or long, as it is. */
export function indented(text) {
  if (text.length > LONGEST) return text;
  try {
    read(text);
  } catch {
    return text;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g);
  let at = 0;
  return laid(0);

  function laid(depth) {
    const open = tokens[at++];
    if (open !== "{" && open !== "[") return open;
    const items = [];
    while (tokens[at] !== "}" && tokens[at] !== "]") {
      if (tokens[at] === ",") at++;
      const name = tokens[at + 1] === ":" ? `${tokens[at]}: ` : "";
      if (name) at += 2;
      items.push(name + laid(depth + 1));
    }
    const close = tokens[at++];
    const short = `${open}${items.join(", ")}${close}`;
    if (depth > 0 && short.length <= ROOM && !items.some((item) => item.includes("\n"))) return short;
    const line = `\n${"  ".repeat(depth + 1)}`;
    return items.length ? `${open}${line}${items.join(`,${line}`)}\n${"  ".repeat(depth)}${close}` : short;
  }
}

/**
 * Read a JSON object that a person wrote. It is only checked, never made anew, so that numbers stay as written.
 * @returns {Map<string, [number, number]>} where each value stands, by its path as a JSON list of names.
 * @throws {Misplaced} it is none.
 */
export function readObject(text) {
  const reader = read(text);
  if (text.trimStart()[0] !== "{") throw new Misplaced("arguments are an object: { … }", text, text.search(/\S/));
  return reader.spans;
}

/** A path as servers write it (`a.b[0]`, `/a/b/0`, `$.a`), as a list of names. */
export function pathOf(where) {
  if (where.startsWith("/")) return where.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  return where
    .replace(/^\$\.?/, "")
    .replace(/\[['"]?([^\]'"]*)['"]?\]/g, ".$1")
    .split(".")
    .filter((part) => part !== "");
}

/**
 * Where in the text the value of a path stands; where it is not there, the innermost that is around it.
 * @returns {?[number, number]} offsets, or null where the text is no JSON.
 */
export function placeOf(text, path) {
  let spans;
  try {
    spans = readObject(text);
  } catch {
    return null;
  }
  for (let most = path.length; most >= 0; most--) {
    const span = spans.get(JSON.stringify(path.slice(0, most)));
    if (span) return span;
  }
  return null;
}

const REFUSED = /^- ([^\s:]+): (.+)$/;

/**
 * What a refusal says about single values: its lines `- path.to.0: what is wrong`; or about the one it names.
 * @param {{detail: string, where?: string}} refusal the server's.
 * @returns {{path: string[], message: string}[]} none where it is about the whole.
 */
export function refusals({ detail, where = "" }) {
  const lines = String(detail)
    .split("\n")
    .map((one) => REFUSED.exec(one))
    .filter(Boolean)
    .map(([, path, message]) => ({ path: pathOf(path), message }));
  if (lines.length || !/^\/?arguments[./[]/.test(where)) return lines;
  return [{ path: pathOf(where).slice(1), message: String(detail) }];
}
