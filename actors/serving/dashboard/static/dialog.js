// One real <dialog>: the browser keeps the focus in it, closes it on Escape, and gives the focus back.

import { fill, h } from "./dom.js";

let serial = 0;

/**
 * Asks whether something shall be done.
 *
 * @param {object} ask
 * @param {string} ask.title what is to be done.
 * @param {string|Node|Array} [ask.text] what that means.
 * @param {Array<object>} [ask.fields] `{name, label, type, value, required, hint, min, step, rows, options}`; `type` is
 *   as that of an input (`number` gives a number), or `textarea`, or `select` with `options` `[[value, label]]`.
 * @param {string} [ask.confirm] the word on the button.
 * @param {boolean} [ask.danger] whether it cannot be undone.
 * @param {(values: object) => Promise<any>} [ask.submit] does it, while the dialog is open: an error is shown in it,
 *   and the dialog stays, so that nothing that was written is lost.
 * @returns {Promise<object|null>} the values of the fields (of `submit` what it returns, as `result`), or null.
 */
export function confirm({ title, text, fields = [], confirm: word = "Confirm", danger = false, submit }) {
  serial += 1;
  const id = `dialog-${serial}`;
  const inputs = fields.map((field) => [field, input(field, `${id}-${field.name}`)]);
  const failure = h("p", { class: "dialog-failure", role: "alert" });
  const yes = h(
    "button",
    { type: "submit", class: `button ${danger ? "danger" : "primary"}`, "data-testid": "dialog-confirm" },
    word,
  );
  const no = h(
    "button",
    { type: "button", class: "button", "data-testid": "dialog-cancel", onclick: () => dialog.close() },
    "Cancel",
  );
  let result = null;
  let busy = false;

  async function send(event) {
    event.preventDefault();
    if (busy) return;
    const values = {};
    for (const [field, element] of inputs) values[field.name] = read(field, element);
    if (submit) {
      busy = true;
      yes.disabled = true;
      fill(failure);
      try {
        values.result = await submit(values);
      } catch (error) {
        if (!dialog.isConnected) throw error; // it was closed meanwhile: whoever asked says it
        fill(failure, error.detail ?? error.message);
        return;
      } finally {
        busy = false;
        yes.disabled = false;
      }
    }
    result = values;
    dialog.close();
  }

  const body = typeof text === "string" ? h("p", null, text) : text;
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": `${id}-title`, "data-testid": "dialog" },
    h(
      "form",
      { method: "dialog", onsubmit: send },
      h("h2", { id: `${id}-title` }, title),
      body ? h("div", { class: "dialog-text" }, body) : null,
      inputs.map(([field, element]) => labelled(field, element)),
      failure,
      h("div", { class: "dialog-buttons" }, no, yes),
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    dialog.showModal();
    const first = inputs[0]?.[1] ?? (danger ? no : yes);
    first.focus();
  });
}

function input(field, id) {
  const common = { id, name: field.name, required: field.required, "data-testid": `dialog-${field.name}` };
  const told = field.hint ? { "aria-describedby": `${id}-hint` } : {};
  if (field.type === "textarea") {
    return h("textarea", { ...common, ...told, rows: field.rows ?? 4, value: field.value ?? "", spellcheck: "false" });
  }
  if (field.type === "select") {
    const options = field.options.map(([value, label]) =>
      h("option", { value, selected: value === field.value }, label),
    );
    return h("select", { ...common, ...told }, options);
  }
  const attributes = { type: field.type ?? "text", min: field.min, max: field.max, step: field.step };
  return h("input", { ...common, ...told, ...attributes, value: field.value ?? "", autocomplete: "off" });
}

function labelled(field, element) {
  const hint = field.hint ? h("span", { class: "hint", id: `${element.id}-hint` }, field.hint) : null;
  return h("div", { class: "field" }, h("label", { for: element.id }, field.label), element, hint);
}

function read(field, element) {
  return field.type === "number" ? element.valueAsNumber : element.value;
}
