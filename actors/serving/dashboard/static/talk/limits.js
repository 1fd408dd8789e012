// What a run whose limits are spent may be given.

import { h, setAttribute, setText } from "../dom.js";
import { count, dollars } from "../logic/format.js";

const FIELDS = [
  ["steps", "Steps", 1, count],
  ["tokens", "Tokens", 1, count],
  ["cost", "Cost, in US dollars", "any", dollars],
];

/**
 * @param {Object<string, {limit: ?number, used: ?number}>} now what it may use, and has used.
 * @returns {{element: HTMLElement, value: () => ?object, changed: () => boolean, focus: () => void,
 *   refuse: (error: {where: string, detail: string}) => boolean}} `value` is null while a field is not filled in well.
 */
export function limits(now) {
  const fields = FIELDS.map(([name, label, step, words]) => {
    const { limit = null, used = null } = now[name] ?? {};
    const spent = limit !== null && used !== null && used >= limit;
    const wrong = h("span", { class: "dialog-failure", id: `limit-${name}-wrong`, role: "alert" });
    const input = h("input", {
      type: "number", id: `limit-${name}`, min: 0, step, placeholder: limit === null ? "no limit" : String(limit),
      "aria-describedby": `limit-${name}-hint limit-${name}-wrong`, "data-testid": `limit-${name}`,
      oninput: () => tell(name, ""),
    });
    const is = `${used === null ? "" : `${words(used)} used`}${limit === null ? ", no limit" : ` of ${words(limit)}`}`;
    const hint = h("span", { class: "hint", id: `limit-${name}-hint` }, spent ? `${is}: spent` : is.replace(/^, /, ""));
    return { name, input, wrong, limit, spent, element: h("div", { class: "field" }, h("label", { for: `limit-${name}` }, label), input, hint, wrong) };
  });

  function tell(name, words) {
    const field = fields.find((one) => one.name === name);
    setText(field.wrong, words);
    setAttribute(field.input, "aria-invalid", words ? "true" : null);
    return field;
  }

  function read() {
    const given = {};
    for (const { name } of fields) tell(name, "");
    for (const { name, input, limit } of fields) {
      if (input.validity.badInput) tell(name, "This is no number.");
      else if (input.validity.stepMismatch) tell(name, "This is a whole number.");
      else if (input.value !== "" && limit !== null && input.valueAsNumber <= limit) tell(name, `More than ${limit} is needed.`);
      else if (input.value !== "") given[name] = input.valueAsNumber;
    }
    if (fields.some(({ wrong }) => wrong.textContent)) return null;
    const spent = fields.filter((field) => field.spent && !(field.name in given));
    for (const { name } of spent) tell(name, "It is spent: the run goes on only with more.");
    if (spent.length === 0 && Object.keys(given).length === 0) tell("steps", "Give it more of something.");
    return spent.length > 0 || Object.keys(given).length === 0 ? null : given;
  }

  return {
    element: h("div", { class: "limits" }, h("h2", null, "What it may use in all"), fields.map(({ element }) => element)),
    value: read,
    changed: () => fields.some(({ input }) => input.value !== ""),
    focus: () => (fields.find(({ wrong }) => wrong.textContent) ?? fields[0]).input.focus(),
    refuse({ where = "", detail }) {
      const name = /^limits\.(\w+)$/.exec(where)?.[1];
      if (!fields.some((field) => field.name === name)) return false;
      tell(name, detail).input.focus();
      return true;
    },
  };
}
