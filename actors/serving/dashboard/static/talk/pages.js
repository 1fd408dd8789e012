// Lists that may be long: one page of them at a time, and elements that stay while what they show stays the same.

import { arrange, button, fill, h, setAttribute, setText } from "../dom.js";
import { count } from "../logic/format.js";
import { Known } from "../logic/known.js";
import { failure } from "./passage.js";

/**
 * A list of which one page is in the document. On the last page it follows what is added.
 *
 * @param {{what: string, size: number, body: HTMLElement, draw: (items: any[], from: number) => void,
 *   older?: (end: number) => Promise<{before: number, items: any[]}>}} list `what`: what they are, as in "messages 1 to
 *   50 of 70"; `draw` shows the items of a page in `body`; `older` asks the server for those that end at a place.
 */
export function pages({ what, size, draw, body, older }) {
  let known = new Known();
  let from = null; // null: the last page
  let turn = 0;
  const trouble = h("div", null);
  const where = h("span", { class: "muted", role: "status" });
  const step = (words, id, place) => button(words, `${id}-${what}`, () => to(place()), { class: "button small" });
  const last = () => Math.max(0, Math.floor((known.total - 1) / size) * size);
  const begin = () => from ?? last();
  const back = [step("First", "first", () => 0), step("Earlier", "earlier", () => Math.max(0, begin() - size))];
  const on = [step("Later", "later", () => begin() + size), step("Last", "last", () => last())];
  const bar = h("div", { class: "pager", role: "group", "aria-label": `Pages of ${what}` }, back, where, on);

  function to(place) {
    from = place >= last() ? null : place;
    return render();
  }

  async function render() {
    const mine = ++turn;
    const first = begin();
    const end = Math.min(known.total, first + size);
    bar.hidden = known.total <= size;
    for (const one of back) one.disabled = first === 0;
    for (const one of on) one.disabled = first >= last();
    if (document.activeElement?.disabled && bar.contains(document.activeElement)) (first === 0 ? on : back)[1].focus();
    setText(where, `${what} ${count(first + 1)} to ${count(end)} of ${count(known.total)}`);
    if (older && !known.has(first, end)) {
      const asked = known;
      setAttribute(body, "aria-busy", true);
      const block = await older(end).catch((error) => {
        if (mine === turn) fill(trouble, failure(error, render));
      });
      if (mine !== turn) return;
      setAttribute(body, "aria-busy", null);
      if (block === undefined) return;
      asked.put(block.before, block.items);
    }
    fill(trouble);
    draw(known.part(first, end), first);
  }

  return {
    element: h("div", { class: "paged" }, bar, trouble, body),
    /** @param {Known} given what there is now. */
    show(given) {
      known = given;
      if (from !== null && from >= last()) from = null;
      return render();
    },
    /** Turns to the page on which an item is. */
    reveal: (index) => to(Math.floor(index / size) * size),
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
  let kept = new Map();
  return (items, from = 0) => {
    const now = new Map();
    items.forEach((item, place) => {
      const sign = JSON.stringify(item);
      const before = kept.get(from + place);
      now.set(from + place, before?.sign === sign ? before : { sign, element: make(item, from + place) });
    });
    kept = now;
    arrange(parent, [...now.values()].map(({ element }) => element));
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
