// What others wrote, made fit to be shown: nothing in it can move the cursor, turn the direction of the line around,
// hide itself, or end in half a character.

const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

const NAMES = { 0x00: "NUL", 0x07: "BEL", 0x08: "BS", 0x0c: "FF", 0x0d: "CR", 0x1b: "ESC", 0x7f: "DEL" };

// Not the pictures that Unicode has for some of them: few fonts have those.
function picture(found) {
  const code = found.codePointAt(0);
  return `\u27e8${NAMES[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`}\u27e9`;
}

/** The text with each character that is not seen, or changes what is around it, written out. Lines and tabs stay. */
export function visible(text) {
  return String(text).replaceAll("\r\n", "\n").replace(HIDDEN, picture);
}

const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const LONGEST_GRAPHEME = 64;

/**
 * The beginning of a text, at most `most` UTF-16 units of it and never half of what is seen as one character; the
 * cost does not grow with the text.
 * @returns {{text: string, left: number}} what is kept, and how many units are not.
 */
export function cut(text, most) {
  if (text.length <= most) return { text, left: 0 };
  const from = Math.max(0, most - LONGEST_GRAPHEME);
  const near = text.slice(from, most + LONGEST_GRAPHEME);
  let end = from;
  for (const { index } of GRAPHEMES.segment(near)) {
    if (from + index > most) break;
    if (index > 0 || from === 0) end = from + index;
  }
  if (end <= from && from > 0) end = most; // one heap of marks without end: it has no good place to be cut
  return { text: text.slice(0, end), left: text.length - end };
}

/** On one line: for labels, titles and cells. */
export function line(text, most = 120) {
  const near = cut(String(text), most * 4).text;
  const flat = visible(near).replace(/\s+/gu, " ").trim();
  const short = cut(flat, most);
  const more = short.left > 0 || near.length < String(text).length;
  return more ? `${short.text}\u2026` : short.text;
}

/** Who somebody is: `ada of acme`; empty for nobody who is named. Of two tenants each may have an ada. */
export function whose(user, tenant, most = 40) {
  return [user, tenant].filter(Boolean).map((name) => line(name, most)).join(" of ");
}

/** A value as it is read: texts as they are, everything else as indented JSON. */
export function written(value) {
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return "";
  return JSON.stringify(value, null, 2);
}

/** A path below `api/`, or behind `#/`, of parts that others have named. */
export function path(...parts) {
  return parts.map((part) => encodeURIComponent(String(part).toWellFormed())).join("/");
}

/** A part of such a path; as it stands where it is none, as somebody has written it by hand. */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
