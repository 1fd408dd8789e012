// What a write would change, line by line: told by signs and words, not by colour alone.

import { badge, empty, h } from "../dom.js";
import { count as linesOf, inWords, readDiff } from "../logic/diff.js";
import { count } from "../logic/format.js";
import { all } from "../logic/known.js";
import { line } from "../logic/text.js";
import { keyed, pages } from "./pages.js";
import { named } from "./passage.js";

const SIGNS = { added: "+", removed: "−", same: "", note: "", hunk: "" };
const WORDS = { added: "added", removed: "removed" };
const LONGEST = 2_000; // characters of a line

/** @param {{path: string, before: ?string, after: ?string, note?: string, diff: string, cut?: number}} change */
export function difference(change) {
  const rows = readDiff(change.diff ?? "");
  const numbers = linesOf(rows);
  const fate =
    change.before === null ? badge("new", "ok") : change.after === null ? badge("deleted", "bad") : change.before === change.after ? badge("the same", "quiet") : badge("changed", "info");
  return h(
    "section",
    { class: "panel change", "aria-label": `Changes of ${line(change.path)}`, "data-testid": "change" },
    h(
      "div",
      { class: "panel-head" },
      h("h3", { class: "mono" }, named(change.path, 160)),
      fate,
      h("span", { class: "muted" }, inWords(numbers)),
    ),
    change.note ? h("p", { class: "hint" }, named(change.note, 300)) : null,
    rows.length === 0 ? (change.note ? null : empty("No line of it changes.")) : table(change, rows, numbers),
    change.cut > 0 ? h("p", { class: "hint" }, `… and ${count(change.cut)} characters more, which are too many for this page.`) : null,
  );
}

function table(change, rows, numbers) {
  const body = h("tbody", null);
  const box = h(
    "div",
    { class: "scroll diff-box", tabindex: "0", role: "region", "aria-label": `Lines of ${line(change.path)}` },
    h(
      "table",
      { class: "diff" },
      h("caption", { class: "unseen" }, `${line(change.path)}: ${inWords(numbers)}`),
      h(
        "thead",
        { class: "unseen" },
        h("tr", null, ["Line before", "Line after", "Change", "Text"].map((title) => h("th", { scope: "col" }, title))),
      ),
      body,
    ),
  );
  const paged = pages({ what: "lines", size: 500, draw: keyed(body, row), body: box });
  paged.show(all(rows));
  paged.reveal(0);
  return paged.element;
}

function row({ kind, old, new: now, text }) {
  const shown = line_(text);
  if (kind === "hunk") return h("tr", { class: "diff-hunk" }, h("td", { colspan: 3 }, "⋯"), h("td", null, shown));
  const tag = { added: "ins", removed: "del", note: "em" }[kind] ?? "span";
  return h(
    "tr",
    { class: `diff-${kind}` },
    h("td", { class: "diff-number" }, old ?? ""),
    h("td", { class: "diff-number" }, now ?? ""),
    h("td", { class: "diff-sign" }, h("span", { "aria-hidden": true }, SIGNS[kind]), WORDS[kind] ? h("span", { class: "unseen" }, WORDS[kind]) : null),
    h("td", { class: "diff-text" }, h(tag, null, shown)),
  );
}

function line_(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST).toWellFormed()} … (${count(text.length - LONGEST)} characters more)` : text;
}
