// Arguments of a call, edited as JSON; what is wrong with them is told at its line.

import { fill, h, setAttribute, setText } from "../dom.js";
import { placeOf, position, readObject } from "../logic/json.js";
import { visible } from "../logic/text.js";

let serial = 0;

/**
 * @param {string} text what the arguments are now.
 * @param {{readonly?: boolean, onchange?: (changed: boolean) => void}} [more]
 * @returns {{element: HTMLElement, value: () => ?string, changed: () => boolean, reset: () => void,
 *   text: () => string, focus: () => void, refuse: (refused: {path: string[], message: string}[]) => boolean}} `value` is null while it is no JSON object.
 */
export function editor(text, { readonly = false, onchange = () => {} } = {}) {
  const id = `editor-${++serial}`;
  const gutter = h("div", { class: "editor-gutter", "aria-hidden": true });
  const area = h("textarea", {
    id, class: "editor-text", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", dir: "ltr",
    "aria-describedby": `${id}-wrong ${id}-hint`, "data-testid": "arguments", oninput: () => look(), onscroll: follow,
  });
  area.readOnly = readonly;
  area.value = text;
  const wrong = h("ul", { class: "editor-wrong" });
  const hint = h("p", { class: "hint", id: `${id}-hint` });
  const element = h(
    "div",
    { class: "editor" },
    h("label", { for: id }, "Arguments, as JSON"),
    h("div", { class: "editor-box" }, gutter, area),
    h("div", { id: `${id}-wrong`, role: "status" }, wrong),
    hint,
  );

  function follow() {
    gutter.scrollTop = area.scrollTop;
  }

  function mark(mistakes) {
    const lines = new Set(mistakes.map((one) => one.line));
    const all = area.value.split("\n").length;
    area.rows = Math.min(24, Math.max(4, all + 1));
    const numbers = Array.from({ length: Math.min(all, 10_000) }, (_, place) =>
      h("div", { class: lines.has(place + 1) ? "wrong" : null }, lines.has(place + 1) ? `⚠ ${place + 1}` : place + 1),
    );
    fill(gutter, numbers);
    follow();
    setAttribute(area, "aria-invalid", mistakes.length > 0 ? "true" : null);
    fill(
      wrong,
      mistakes.map(({ line, column, message, from, to }) =>
        h(
          "li",
          null,
          h(
            "button",
            { type: "button", class: "link", "data-testid": "arguments-wrong", onclick: () => select(from, to, line) },
            `Line ${line}, column ${column}: ${message}`,
          ),
        ),
      ),
    );
  }

  function select(from, to, line) {
    area.focus();
    area.setSelectionRange(from, to);
    area.scrollTop = (line - 4) * parseFloat(getComputedStyle(area).lineHeight);
  }

  function mistake() {
    try {
      readObject(area.value);
      return null;
    } catch (error) {
      return error;
    }
  }

  function look() {
    check();
    onchange(area.value !== text);
  }

  function check() {
    const error = readonly ? null : mistake();
    mark(error === null ? [] : [{ ...position(area.value, error.offset), message: error.message, from: error.offset, to: error.offset + 1 }]);
    const hidden = visible(area.value) !== area.value;
    setText(hint, hidden ? "There are characters in it that are not seen, or change the direction of what is: copy it to a place where you can look at them." : "");
    hint.hidden = !hidden;
  }

  check();
  return {
    element,
    text: () => area.value,
    value: () => (mistake() === null ? area.value : null),
    changed: () => area.value !== text,
    reset() {
      area.value = text;
      look();
    },
    focus: () => area.focus(),
    /** Shows at their places what the server has refused; says whether there was a place for anything. */
    refuse(refused) {
      if (refused.length === 0) return false;
      mark(
        refused.map(({ path, message }) => {
          const [from, to] = placeOf(area.value, path) ?? [0, 0];
          return { ...position(area.value, from), message: `${path.join(".")}: ${message}`, from, to };
        }),
      );
      wrong.querySelector("button")?.focus();
      return true;
    },
  };
}
