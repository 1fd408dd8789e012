// A call that waits: what it would change, and its arguments, which may be others.

import { button, fill, h, setText } from "../dom.js";
import { count, plural } from "../logic/format.js";
import { refusals } from "../logic/json.js";
import { written } from "../logic/text.js";
import { difference } from "./difference.js";
import { editor } from "./editor.js";
import { failure, named } from "./passage.js";

/**
 * @param {object} asked the call, as the server tells it.
 * @param {{may: boolean, preview: (text: string) => Promise<object>, told: (changed: boolean) => void}} how whether it
 *   may be decided; what asks for the changes that other arguments would make; who is told whether there are others.
 * @returns {{changes: HTMLElement, element: HTMLElement, buttons: HTMLElement[], value: () => ?string,
 *   changed: () => boolean, focus: () => void, refuse: (error: Error) => boolean}}
 */
export function call(asked, { may, preview, told }) {
  const cut = asked.cut ?? 0; // what is not all here cannot be changed
  const tells = (asked.changes ?? []).length > 0 || Boolean(asked.changes_unknown);
  let shown = written(asked.arguments); // the arguments whose changes are shown
  const form = editor(shown, { readonly: !may || cut > 0, onchange: draw });
  const changes = h("div", null, listed(asked));
  const wrong = h("div", null);
  const note = h("p", { class: "hint", hidden: true }, "The changes above are those of other arguments than yours.");
  const look = button("Show what these would change", "preview", show, { class: "button", hidden: true });
  const undo = button("Undo changes", "arguments-undo", () => form.reset(), { class: "button quiet", disabled: true });

  function draw(changed) {
    undo.disabled = !changed;
    note.hidden = look.hidden = !tells || form.text() === shown;
    told(changed);
  }

  async function show() {
    fill(wrong);
    const given = form.value();
    if (given === null) {
      form.focus();
      return;
    }
    look.disabled = true;
    try {
      const came = await preview(given);
      shown = given;
      fill(changes, listed(came));
      draw(form.changed());
      changes.querySelector("h2")?.focus();
    } catch (error) {
      if (!refuse(error)) fill(wrong, failure(error, null));
    } finally {
      look.disabled = false;
    }
  }

  function refuse(error) {
    return form.refuse(refusals(error));
  }

  const left = cut > 0 ? h("p", { class: "hint" }, `${count(cut)} characters of it are too many for this page: it can be decided as it is, not changed.`) : null;
  return {
    changes,
    element: h("div", null, form.element, left, note, wrong),
    buttons: cut > 0 ? [] : [look, undo],
    value: () => (cut > 0 ? shown : form.value()),
    changed: form.changed,
    focus: form.focus,
    refuse,
  };
}

function listed({ changes = [], changes_unknown: unknown = "" }) {
  if (changes.length === 0 && !unknown) return null;
  return h(
    "section",
    { class: "changes", "aria-label": "What it would change" },
    h("h2", { tabindex: "-1" }, changes.length > 0 ? `What it would change: ${plural(changes.length, "file")}` : "What it would change"),
    unknown ? h("p", { class: "hint" }, named(unknown, 400)) : null,
    changes.map(difference),
  );
}
