// Elements from plain values. Texts become text nodes and nothing else: nothing that an agent says is ever markup.

import { visible } from "./logic/text.js";

/**
 * An element.
 *
 * @param {string} tag its name.
 * @param {object|null} attributes `on…` are listeners; true is an attribute without a value; null, undefined and false
 *   leave it out; `value`, `checked`, `disabled` and `selected` are set as properties.
 * @param {...(Node|string|number|null|false|Array)} children what is null or false is left out.
 * @returns {HTMLElement}
 */
export function h(tag, attributes, ...children) {
  return dressed(document.createElement(tag), tag, attributes, children);
}

/** An element of a drawing, as `h` makes those of the page. */
export function svg(tag, attributes, ...children) {
  return dressed(document.createElementNS("http://www.w3.org/2000/svg", tag), tag, attributes, children);
}

function dressed(element, tag, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") {
      if (!name.startsWith("on")) throw new TypeError(`${name} of <${tag}> is a function, and no listener`);
      element.addEventListener(name.slice(2), value);
    } else if (name.startsWith("on") || name === "style") {
      throw new TypeError(`${name} of <${tag}> is a text: neither code nor style is written into the page`);
    } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
}

/** Puts children in the place of those that an element has. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Writes an element's text, only where it is another one: what is selected in it stays selected. */
export function setText(element, text) {
  const shown = visible(text);
  const first = element.firstChild;
  if (first !== null && first.nodeType === Node.TEXT_NODE && first === element.lastChild) {
    if (first.data !== shown) first.data = shown;
  } else if (element.textContent !== shown || first === null) {
    element.replaceChildren(document.createTextNode(shown));
  }
}

/** Sets or, by null or false, removes an attribute, only where it is another one. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** A button with words. `id` is its data-testid. */
export function button(words, id, onclick, attributes = {}) {
  return h("button", { type: "button", class: "button", "data-testid": id, onclick, ...attributes }, words);
}

/** A label that stands in for nothing but colour: the word says it too. `tone`: ok, warn, bad, info or quiet. */
export function badge(words, tone = "quiet") {
  return h("span", { class: `badge ${tone}` }, words);
}

/** What is shown where there is nothing to show: one line that says so, and one that says what would be here. */
export function empty(words, more) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, words), more ? h("p", null, more) : null);
}

/**
 * Has an element's children be these, in this order. The one that has the focus is never moved (it would lose it): the
 * others are, around it.
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  if (wanted.length === 0) return;
  const focused = document.activeElement;
  let pivot = parent.contains(focused) ? wanted.findIndex((one) => one.contains(focused)) : -1;
  if (pivot < 0) {
    pivot = 0;
    if (parent.firstElementChild !== wanted[0]) parent.prepend(wanted[0]);
  }
  for (let at = pivot - 1; at >= 0; at -= 1) {
    if (wanted[at].nextElementSibling !== wanted[at + 1]) parent.insertBefore(wanted[at], wanted[at + 1]);
  }
  for (let at = pivot + 1; at < wanted.length; at += 1) {
    const next = wanted[at - 1].nextElementSibling;
    if (next !== wanted[at]) parent.insertBefore(wanted[at], next);
  }
}

/** At most one call a frame, however often it is asked for; none while the page is hidden. */
export function onFrame(draw) {
  let asked = 0;
  const ask = () => {
    if (asked === 0) {
      asked = requestAnimationFrame(() => {
        asked = 0;
        draw();
      });
    }
  };
  ask.cancel = () => {
    cancelAnimationFrame(asked);
    asked = 0;
  };
  return ask;
}
