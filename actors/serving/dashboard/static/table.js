// Tables whose rows are kept by key: what changes is written where it stands, and neither focus nor scroll is lost.

import { arrange, h, setAttribute, setText } from "./dom.js";
import { compare } from "./logic/rows.js";
import { count } from "./logic/format.js";

const STEP = 200; // rows; more of them on demand, so that the page stays small

/**
 * @param {object} how
 * @param {string} how.caption what the table is; shown to those who hear, and to all where `title` is true.
 * @param {string} how.id its data-testid.
 * @param {(row: object) => string} how.key unique, and the same for the same row each time.
 * @param {Array<object>} how.columns `{name, title, text(row), tone(row), build(get), update(element, row), numeric,
 *   sort(row), wide}`. `text` gives what is written; or `build` makes the cell's element once, `get` giving the row as
 *   it is now, and `update` writes it. With `sort` the column can be ordered by. `wide` has the cell take a whole line
 *   where rows are cards.
 * @param {(row: object) => string|null} [how.tone] `data-tone` of a row.
 * @param {[string, boolean]} [how.order] the column that it is ordered by at first, and whether descending.
 * @returns {{element: HTMLElement, update: (rows: object[]) => void}}
 */
export function createTable({ caption, id, key, columns, tone, order = [null, false] }) {
  let [by, descending] = order;
  let rows = [];
  let most = STEP;
  const shown = new Map();
  const buttons = new Map();
  const heads = columns.map((column) => {
    let inside = column.title;
    if (column.sort) {
      inside = h("button", { type: "button", class: "head-button", "data-testid": `${id}-order-${column.name}` }, column.title);
      inside.addEventListener("click", () => reorder(column));
    } else if (column.hidden) {
      inside = h("span", { class: "unseen" }, column.title);
    }
    const head = h("th", { scope: "col", role: "columnheader", class: column.numeric ? "number" : null }, inside);
    buttons.set(column.name, head);
    return head;
  });
  const body = h("tbody", { role: "rowgroup" });
  const more = h("button", { type: "button", class: "button small", "data-testid": `${id}-more`, hidden: true, onclick: grow });
  const element = h(
    "div",
    { class: "table-box scroll", tabindex: "0", role: "group", "aria-label": caption },
    h(
      "table",
      { role: "table", class: "table", "data-testid": id },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)),
      body,
    ),
    h("div", { class: "table-more" }, more),
  );

  function reorder(column) {
    if (by === column.name && descending === (column.numeric ?? false)) descending = !descending;
    else if (by === column.name) by = null;
    else {
      by = column.name;
      descending = column.numeric ?? false;
    }
    draw();
  }

  function grow() {
    most += STEP;
    draw();
  }

  function make(first) {
    const line = { row: first };
    line.cells = columns.map((column) => {
      const cell = h("td", {
        role: "cell",
        class: `${column.numeric ? "number" : ""}${column.wide ? " wide" : ""} col-${column.name}`.trim(),
        "data-label": column.title,
      });
      if (column.build) cell.append(column.build(() => line.row));
      return cell;
    });
    line.element = h("tr", { role: "row" }, line.cells);
    return line;
  }

  function write(line, row) {
    line.row = row;
    columns.forEach((column, at) => {
      const cell = line.cells[at];
      if (column.text) setText(cell, column.text(row));
      else column.update?.(cell.firstChild, row);
      if (column.tone) setAttribute(cell, "data-tone", column.tone(row) || null);
    });
    if (tone) setAttribute(line.element, "data-tone", tone(row) || null);
  }

  function draw() {
    for (const column of columns) {
      if (column.sort) {
        const now = by === column.name ? (descending ? "descending" : "ascending") : "none";
        setAttribute(buttons.get(column.name), "aria-sort", now);
      }
    }
    const column = columns.find((one) => one.name === by);
    const ordered = column ? [...rows].sort(compare(column.sort, descending)) : rows;
    const part = ordered.slice(0, most);
    const keys = new Set();
    const elements = part.map((row) => {
      const name = key(row);
      keys.add(name);
      let line = shown.get(name);
      if (line === undefined) {
        line = make(row);
        setAttribute(line.element, "data-key", name);
        shown.set(name, line);
      }
      write(line, row);
      return line.element;
    });
    for (const name of shown.keys()) if (!keys.has(name)) shown.delete(name);
    const lost = body.contains(document.activeElement) ? [...body.children].findIndex((one) => one.contains(document.activeElement)) : -1;
    arrange(body, elements);
    if (lost >= 0 && !body.contains(document.activeElement)) {
      // The row that had the focus has gone: the one in its place has it now, or the table.
      const next = body.children[Math.min(lost, body.children.length - 1)];
      (next?.querySelector("a, button") ?? element).focus({ preventScroll: true });
    }
    more.hidden = ordered.length <= most;
    if (!more.hidden) setText(more, `Show more: ${count(ordered.length - most)} are not shown`);
  }

  return {
    element,
    update(next) {
      rows = next;
      draw();
    },
  };
}

/** A bar for a part of a whole, with words beside it. Write it with `setBar`. */
export function createBar(label) {
  const inner = h("span", { class: "bar-fill" });
  const words = h("span", { class: "bar-words" });
  const name = label ? h("span", { class: "bar-label" }, label) : null;
  return h("div", { class: "bar" }, name, h("span", { class: "bar-track", "aria-hidden": "true" }, inner), words);
}

/** @param {number} part from 0 to 1; more is shown as full. */
export function setBar(element, part, words, tone) {
  const known = Number.isFinite(part) ? Math.max(0, Math.min(1, part)) : 0;
  element.querySelector(".bar-fill").style.transform = `scaleX(${known.toFixed(4)})`;
  setText(element.querySelector(".bar-words"), words);
  setAttribute(element, "data-tone", tone || null);
}
