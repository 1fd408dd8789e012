// The tree of actors as a treegrid. Only the rows in sight are in the page, and the one that has the focus.

import { arrange, h, onFrame, setAttribute, setText } from "../dom.js";
import { count, duration } from "../logic/format.js";
import { branch, inSight, LATE, OLD } from "../logic/tree.js";

const COLUMNS = [
  ["name", "Actor"],
  ["phase", "State"],
  ["waiting", "Waiting", true],
  ["age", "Oldest", true],
  ["restarts", "Restarts", true],
  ["crash", "Last crash"],
];
/** Columns by which it can be ordered: then the tree is flat. */
const ORDERS = new Set(["waiting", "age", "restarts"]);
const SPARE = 40;

/**
 * @param {object} on
 * @param {(node: object) => void} on.choose told which actor is chosen.
 * @param {(node: object, open: boolean) => void} on.toggle asked to show or hide what is below one.
 * @param {(order: string) => void} on.order asked for another order.
 * @param {(node: object) => boolean} on.collapsed whether what is below one is hidden.
 * @returns {{element: HTMLElement, draw: (rows: object[], order: string) => void, choose: (path: string) => void,
 *   close: () => void}}
 */
export function createGrid(on) {
  const heads = COLUMNS.map(([name, title, numeric]) => {
    const inside = ORDERS.has(name)
      ? h(
          "button",
          { type: "button", class: "head-button", "data-testid": `order-${name}`, onclick: () => reorder(name) },
          title,
        )
      : title;
    return h(
      "div",
      { role: "columnheader", class: `cell cell-${name}${numeric ? " number" : ""}`, "data-column": name },
      inside,
    );
  });
  const head = h("div", { role: "row", class: "tree-row tree-head", "aria-rowindex": 1 }, heads);
  const body = h("div", { role: "rowgroup", class: "tree-body" });
  const element = h(
    "div",
    {
      role: "treegrid",
      class: "treegrid",
      "aria-label": "Actors",
      "aria-colcount": COLUMNS.length,
      "data-testid": "tree",
    },
    h("div", { role: "rowgroup", class: "tree-top" }, head),
    body,
  );

  let rows = [];
  let order = "tree";
  let active = ""; // the path of the row that is in the tab order
  let chosen = ""; // the path of the one that was chosen: it stays so while it is not shown, and when it has gone
  let at = 0; // where it is
  let rowHeight = 28;
  const shown = new Map(); // rows in the page, by path
  const spare = [];

  function reorder(name) {
    on.order(order === name ? "tree" : name);
  }

  function measure() {
    rowHeight = parseFloat(getComputedStyle(element).getPropertyValue("--row")) || 28;
  }

  function make() {
    const twisty = h("span", { class: "twisty", "aria-hidden": "true", onclick: twist });
    const name = h("span", { class: "actor-name" });
    const kind = h("span", { class: "actor-kind" });
    const below = h("span", { class: "actor-below" });
    const phase = h("span", { class: "phase" });
    const cells = { twisty, name, kind, below, phase };
    const cell = (column, ...children) =>
      h("div", { role: "gridcell", class: `cell cell-${column}` }, ...children);
    const row = h("div", { role: "row", class: "tree-row", onclick: click, ondblclick: twist });
    row.append(cell("name", twisty, name, kind, below), cell("phase", phase));
    for (const [column, , numeric] of COLUMNS.slice(2)) {
      cells[column] = cell(column);
      if (numeric) cells[column].classList.add("number");
      row.append(cells[column]);
    }
    row.cells = cells;
    return row;
  }

  function write(row, node, index) {
    const cells = row.cells;
    const parents = order === "tree";
    const folder = parents && node.children.size > 0;
    const hidden = folder && on.collapsed(node);
    row.node = node;
    setAttribute(row, "data-path", node.path);
    setAttribute(row, "data-testid", `actor-${node.path}`);
    setAttribute(row, "aria-rowindex", index + 2);
    setAttribute(row, "aria-level", parents ? node.level : 1);
    setAttribute(row, "aria-expanded", folder ? String(!hidden) : null);
    setAttribute(row, "aria-selected", String(node.path === chosen));
    setAttribute(row, "tabindex", node.path === active ? "0" : "-1");
    row.style.transform = `translateY(${index * rowHeight}px)`;
    row.style.setProperty("--level", parents ? Math.min(node.level - 1, 12) : 0);
    setAttribute(cells.twisty, "data-state", folder ? (hidden ? "closed" : "open") : "none");
    setText(cells.name, node.name);
    setText(cells.kind, parents ? (node.kind === node.name ? "" : node.kind) : (node.parent?.path ?? ""));
    setText(cells.below, hidden ? below(node) : "");
    setText(cells.phase, node.phase);
    const tone = node.phase === "failing" ? "bad" : "info";
    setAttribute(cells.phase, "class", node.phase === "running" ? "phase" : `phase badge ${tone}`);
    // What is not shown below one is told with what is its own.
    const { waiting, age } = hidden ? branch(node) : node;
    const both = hidden && node.belowMessages > 0;
    setText(cells.waiting, waiting > 0 ? count(waiting) : "");
    setAttribute(cells.waiting, "title", both ? `${count(node.waiting)} of its own, ${count(node.belowMessages)} below it` : null);
    setText(cells.age, waiting > 0 ? duration(age) : "");
    const bad = age >= OLD || node.phase === "failing";
    setAttribute(cells.age, "data-tone", waiting === 0 ? null : bad ? "bad" : age >= LATE ? "warn" : null);
    setText(cells.restarts, node.restarts > 0 ? count(node.restarts) : "");
    setText(cells.crash, node.crash);
  }

  /** How many are not shown below one. */
  function below(node) {
    return `${count(node.below)} below${node.belowOff > 0 ? `, ${count(node.belowOff)} not running` : ""}`;
  }

  function paint() {
    const focused = body.contains(document.activeElement);
    const [first, last] = inSight(element.scrollTop, element.clientHeight, rowHeight, rows.length);
    const wanted = [];
    for (let index = first; index < last; index += 1) wanted.push(index);
    if (rows.length > 0 && (at < first || at >= last)) {
      if (at < first) wanted.unshift(at);
      else wanted.push(at);
    }
    const keep = new Set(wanted.map((index) => rows[index].path));
    for (const [path, row] of shown) {
      if (keep.has(path)) continue;
      shown.delete(path);
      row.node = null;
      row.remove();
      if (spare.length < SPARE) spare.push(row);
    }
    const elements = wanted.map((index) => {
      const node = rows[index];
      let row = shown.get(node.path);
      if (row === undefined) {
        row = spare.pop() ?? make();
        shown.set(node.path, row);
      }
      write(row, node, index);
      return row;
    });
    arrange(body, elements);
    if (focused && !body.contains(document.activeElement)) shown.get(active)?.focus({ preventScroll: true });
  }

  const later = onFrame(paint);
  const resized = new ResizeObserver(() => {
    measure();
    body.style.height = `${rows.length * rowHeight}px`;
    later();
  });
  element.addEventListener("scroll", later, { passive: true });
  element.addEventListener("keydown", key);
  resized.observe(element);

  function draw(next, how) {
    order = how;
    rows = next;
    let found = rows[at]?.path === active ? at : rows.findIndex((node) => node.path === active);
    if (found < 0) found = Math.min(at, rows.length - 1);
    at = Math.max(0, found);
    active = rows[at]?.path ?? "";
    setAttribute(element, "aria-rowcount", rows.length + 1);
    body.style.height = `${rows.length * rowHeight}px`;
    for (const cell of heads) {
      if (ORDERS.has(cell.dataset.column)) {
        setAttribute(cell, "aria-sort", cell.dataset.column === order ? "descending" : "none");
      }
    }
    paint();
  }

  function move(index, focus = true) {
    if (rows.length === 0) return;
    at = Math.max(0, Math.min(rows.length - 1, index));
    active = chosen = rows[at].path;
    const top = at * rowHeight;
    const height = element.clientHeight - head.offsetHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + height) element.scrollTop = top + rowHeight - height;
    paint();
    if (focus) shown.get(active)?.focus({ preventScroll: true });
    on.choose(rows[at]);
  }

  function click(event) {
    const row = event.currentTarget;
    if (row.node !== null) move(rows.indexOf(row.node));
  }

  function twist(event) {
    event.stopPropagation();
    const node = event.currentTarget.closest("[role=row]").node;
    if (node === null || node.children.size === 0 || order !== "tree") return;
    move(rows.indexOf(node));
    on.toggle(node, on.collapsed(node));
  }

  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !body.contains(event.target)) return;
    const node = rows[at];
    if (node === undefined) return;
    const folder = order === "tree" && node.children.size > 0;
    const page = Math.max(1, Math.floor((element.clientHeight - head.offsetHeight) / rowHeight) - 1);
    const keys = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at - 1),
      PageDown: () => move(at + page),
      PageUp: () => move(at - page),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      ArrowRight() {
        if (folder && on.collapsed(node)) on.toggle(node, true);
        else if (folder && rows[at + 1]?.parent === node) move(at + 1);
      },
      ArrowLeft() {
        if (folder && !on.collapsed(node)) on.toggle(node, false);
        else if (order === "tree" && node.parent !== null) move(rows.indexOf(node.parent));
      },
      Enter() {
        if (folder) on.toggle(node, on.collapsed(node));
      },
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  return {
    element,
    draw,
    choose(path) {
      const index = rows.findIndex((node) => node.path === path);
      if (index >= 0) move(index, false);
      return index >= 0;
    },
    close() {
      resized.disconnect();
      later.cancel();
    },
  };
}
