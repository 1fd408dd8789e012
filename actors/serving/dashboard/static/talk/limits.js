// What a run that has spent a limit may be given.

import { h, setAttribute, setText } from "../dom.js";
import { count, dollars } from "../logic/format.js";

const KINDS = {
  steps: ["Steps, in all", 1, count],
  tokens: ["Tokens, in all", 1, count],
  cost: ["Cost in US dollars, in all", "any", dollars],
};

/**
 * @param {Object<string, ?{limit: number, used: number}>} spent for the limit that is reached how much may be used, and
 *   was; null for the others.
 * @returns {{element: HTMLElement, value: () => ?object, changed: () => boolean, focus: () => void,
 *   refuse: (error: {where: string, detail: string}) => boolean}} `value` is null while the field is not filled in well.
 */
export function limits(spent) {
  const [limit, { used, limit: allowed }] = Object.entries(spent).find(([, told]) => told !== null);
  const [label, step, words] = KINDS[limit] ?? [limit, "any", count];
  const wrong = h("span", { class: "dialog-failure", id: "limit-wrong", role: "alert" });
  const input = h("input", {
    type: "number", id: "limit", min: 0, step, placeholder: `more than ${used}`,
    "aria-describedby": "limit-hint limit-wrong", "data-testid": `limit-${limit}`, oninput: () => tell(""),
  });

  function tell(text) {
    setText(wrong, text);
    setAttribute(input, "aria-invalid", text ? "true" : null);
  }

  return {
    element: h(
      "div",
      { class: "raise" },
      h("h2", null, "What it may use from now on"),
      h("div", { class: "field" }, h("label", { for: "limit" }, label), input,
        h("span", { class: "hint", id: "limit-hint" }, `It has used ${words(used)} and may use ${words(allowed)}.`), wrong),
    ),
    value() {
      if (input.validity.badInput) tell("This is no number.");
      else if (input.validity.stepMismatch) tell("This is a whole number.");
      else if (input.value === "" || input.valueAsNumber <= used) tell(`It needs more than the ${words(used)} that are used.`);
      else return { [limit]: input.valueAsNumber };
      return null;
    },
    changed: () => true,
    focus: () => input.focus(),
    refuse({ where = "", detail }) {
      if (!where.startsWith("limits")) return false;
      tell(detail);
      input.focus();
      return true;
    },
  };
}
