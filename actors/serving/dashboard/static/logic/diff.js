// A unified diff as rows with their line numbers.

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$/;

/**
 * @param {string} text as `diff -u` writes it; lines before the first hunk are its header and left out.
 * @returns {{kind: "hunk"|"same"|"added"|"removed"|"note", old: ?number, new: ?number, text: string}[]}
 */
export function readDiff(text) {
  const rows = [];
  let old = 0;
  let now = 0;
  let inside = false;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const written of lines) {
    const hunk = HUNK.exec(written);
    if (hunk) {
      [old, now, inside] = [Number(hunk[1]), Number(hunk[2]), true];
      rows.push({ kind: "hunk", old: null, new: null, text: hunk[3] || `from line ${Math.max(now, 1)}` });
    } else if (!inside) {
      continue;
    } else if (written.startsWith("+")) {
      rows.push({ kind: "added", old: null, new: now++, text: written.slice(1) });
    } else if (written.startsWith("-")) {
      rows.push({ kind: "removed", old: old++, new: null, text: written.slice(1) });
    } else if (written.startsWith("\\")) {
      rows.push({ kind: "note", old: null, new: null, text: written.slice(1).trim() });
    } else {
      rows.push({ kind: "same", old: old++, new: now++, text: written.slice(1) });
    }
  }
  return rows;
}

/** How many lines come and go. */
export function count(rows) {
  const of = (kind) => rows.filter((row) => row.kind === kind).length;
  return { added: of("added"), removed: of("removed") };
}

/** The counts in words. */
export function inWords({ added, removed }) {
  const lines = (n) => `${n} ${n === 1 ? "line" : "lines"}`;
  if (!added && !removed) return "no line changes";
  return [added && `${lines(added)} added`, removed && `${lines(removed)} removed`].filter(Boolean).join(", ");
}
