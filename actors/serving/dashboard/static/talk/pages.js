// Lists that may be long: one page of them at a time, and elements that stay while what they show stays the same.

import { button, h, setText } from "../dom.js";
import { count } from "../logic/format.js";

/**
 * A list of which one page is in the document. On the last page it follows what is added.
 *
 * @param {{what: string, size: number, draw: (items: any[], from: number) => void, body: HTMLElement}} list
 *   `what`: what they are, as in "messages 1 to 50 of 70"; `draw` shows the items of a page in `body`.
 */
export function pages({ what, size, draw, body }) {
  let items = [];
  let from = null; // null: the last page
  const where = h("span", { class: "muted", role: "status" });
  const turn = (words, id, place) => button(words, `${id}-${what}`, () => to(place()), { class: "button small" });
  const last = () => Math.max(0, Math.floor((items.length - 1) / size) * size);
  const begin = () => from ?? last();
  const back = [turn("First", "first", () => 0), turn("Earlier", "earlier", () => Math.max(0, begin() - size))];
  const on = [turn("Later", "later", () => begin() + size), turn("Last", "last", () => last())];
  const bar = h(
    "div",
    { class: "pager", role: "group", "aria-label": `Pages of ${what}` },
    back, where, on,
  );

  function to(place) {
    from = place >= last() ? null : place;
    render();
    if (document.activeElement?.disabled) (begin() === 0 ? on : back)[1].focus();
  }

  function render() {
    const first = begin();
    bar.hidden = items.length <= size;
    for (const one of back) one.disabled = first === 0;
    for (const one of on) one.disabled = first >= last();
    const end = Math.min(items.length, first + size);
    setText(where, `${what} ${count(first + 1)} to ${count(end)} of ${count(items.length)}`);
    draw(items.slice(first, end), first);
  }

  return {
    element: h("div", { class: "paged" }, bar, body),
    show(given) {
      items = given;
      if (from !== null && from >= last()) from = null;
      render();
    },
    /** Turns to the page on which an item is. */
    reveal(index) {
      to(Math.floor(index / size) * size);
    },
  };
}

/**
 * Children of an element that stay as they are, opened and focused, while their item is the same.
 *
 * @param {HTMLElement} parent
 * @param {(item: any, index: number) => HTMLElement} make
 * @returns {(items: any[], from?: number) => void} shows items; `from` is the index of the first.
 */
export function keyed(parent, make) {
  let known = new Map();
  return (items, from = 0) => {
    const now = new Map();
    items.forEach((item, place) => {
      const sign = JSON.stringify(item);
      const before = known.get(from + place);
      now.set(from + place, before?.sign === sign ? before : { sign, element: make(item, from + place) });
    });
    for (const [index, { element }] of known) if (now.get(index)?.element !== element) element.remove();
    known = now;
    let at = parent.firstChild;
    for (const { element } of now.values()) {
      if (element === at) at = at.nextSibling;
      else parent.insertBefore(element, at);
    }
  };
}

/**
 * A list that the server gives page by page, each with the place of the next.
 *
 * @param {{id: string, fetch: (after: ?string) => Promise<{next: ?string}>, draw: (page: object) => void,
 *   fail: (error: Error) => void, words?: [string, string]}} list `words` on the two buttons.
 */
export function cursors({ id, fetch, draw, fail, words = ["Previous page", "Next page"] }) {
  let stack = [null];
  let next = null;
  let turn = 0;
  const where = h("span", { class: "muted", role: "status" });
  const back = button(words[0], `${id}-previous`, () => go([...stack.slice(0, -1)]));
  const on = button(words[1], `${id}-next`, () => go([...stack, next]));
  const bar = h("div", { class: "pager", role: "group", "aria-label": "Pages" }, back, where, on);

  async function go(to) {
    const mine = ++turn;
    bar.setAttribute("aria-busy", "true");
    try {
      const page = await fetch(to.at(-1));
      if (mine !== turn) return;
      stack = to;
      next = page.next ?? null;
      back.disabled = stack.length < 2;
      on.disabled = next === null;
      bar.hidden = back.disabled && on.disabled;
      setText(where, `page ${count(stack.length)}`);
      if (document.activeElement?.disabled) (on.disabled ? back : on).focus();
      draw(page);
    } catch (error) {
      if (mine === turn) fail(error);
    } finally {
      if (mine === turn) bar.removeAttribute("aria-busy");
    }
  }

  bar.hidden = true;
  return {
    element: bar,
    first: () => go([null]),
    again: () => go(stack),
    close: () => {
      turn++;
    },
  };
}
