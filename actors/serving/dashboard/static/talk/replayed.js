// What going through a conversation again has shown.

import { badge, button, h } from "../dom.js";
import { plural } from "../logic/format.js";
import { keyed, pages } from "./pages.js";
import { named, passage } from "./passage.js";

/**
 * @param {{same: boolean, differences: {step: number, what: string, recorded: any, replayed: any}[]}} report
 * @param {() => void} close
 * @param {(step: number) => void} look shows a step.
 */
export function replayed({ same, differences }, close, look) {
  const body = h("tbody", null);
  const table = h(
    "table",
    { class: "list cards" },
    h("caption", { class: "unseen" }, "What is different now"),
    h("thead", null, h("tr", null, ["Step", "What", "Recorded", "Now"].map((title) => h("th", { scope: "col" }, title)))),
    body,
  );
  const paged = pages({ what: "differences", size: 50, body: table, draw: keyed(body, (one) => row(one, look)) });
  paged.show(differences);
  if (differences.length > 0) paged.reveal(0);
  return h(
    "section",
    { class: "panel replayed", "data-testid": "replayed", "aria-labelledby": "replayed-title" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", { id: "replayed-title", tabindex: "-1" }, "Replay"),
      same ? badge("same", "ok") : badge(plural(differences.length, "difference"), "warn"),
      button("Close", "replayed-close", close, { class: "button small push" }),
    ),
    same
      ? h("p", { class: "panel-body" }, "The agents as they are now would go the way that is recorded.")
      : paged.element,
  );
}

function row({ step, what, recorded, replayed: now }, look) {
  return h(
    "tr",
    { "data-testid": "difference" },
    h("td", { "data-label": "Step" }, button(`Step ${step}`, "difference-step", () => look(step), { class: "button small" })),
    h("td", { "data-label": "What" }, named(what, 60)),
    h("td", { "data-label": "Recorded", class: "wide" }, passage(recorded, { code: true })),
    h("td", { "data-label": "Now", class: "wide" }, passage(now, { code: true })),
  );
}
