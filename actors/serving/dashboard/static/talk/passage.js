// Texts of others: as long as they like, harmless, and no more of them in the page than somebody wants to read.

import { button, h, setText } from "../dom.js";
import { count } from "../logic/format.js";
import { indented } from "../logic/json.js";
import { cut, line, visible, written } from "../logic/text.js";

const FIRST = 3_000;
const MORE = 30_000;

/** A name of somebody else's making, on one line and with a direction of its own. */
export function named(text, most = 80) {
  const short = line(text, most);
  const whole = short.endsWith("…") ? visible(cut(String(text), 2000).text) : null;
  return h("bdi", { title: whole }, short);
}

/**
 * A text with its lines; of a long one the beginning, and a button for what follows.
 *
 * @param {any} value a text, or plain data, which is shown as JSON.
 * @param {{left?: number, code?: boolean, label?: string}} [more] `left`: characters that the server did not send.
 */
export function passage(value, { left = 0, code = false, label = "text" } = {}) {
  const text = code && typeof value === "string" ? indented(value) : written(value);
  let most = FIRST;
  const said = h(code ? "pre" : "div", { class: "said", dir: code ? "ltr" : "auto" });
  const more = button("", "show-more", () => {
    most += MORE;
    draw();
    if (more.hidden) {
      said.tabIndex = -1;
      said.focus();
    }
  }, { class: "button small" });
  const rest = h("p", { class: "hint" });

  function draw() {
    const shown = cut(text, most);
    setText(said, shown.text);
    more.hidden = shown.left === 0;
    setText(more, `Show more of this ${label} (${count(shown.left)} characters)`);
    rest.hidden = left === 0 || shown.left > 0;
    setText(rest, `… and ${count(left)} characters more, which are too many for this page.`);
  }

  draw();
  return h("div", { class: "passage" }, said, more, rest);
}

/** Something that goes wrong where a part of the page would be, with a way to try it again. */
export function failure(error, again) {
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("p", null, error.detail ?? error.message),
    again ? button("Try again", "try-again", again) : null,
  );
}
