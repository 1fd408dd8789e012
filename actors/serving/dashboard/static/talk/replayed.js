// What going through a conversation again has shown.

import { badge, button, h, setText } from "../dom.js";
import { count, plural } from "../logic/format.js";
import { createTable } from "../table.js";
import { line } from "../logic/text.js";
import { passage } from "./passage.js";

/**
 * @param {{same: boolean, steps: number, differences: {step: number, agent: string, what: string, text: string}[],
 *   differences_left_out?: number}} report
 * @param {{close: () => void, look: (step: number) => void}} how `look` shows a step.
 */
export function replayed({ same, steps, differences, differences_left_out: left = 0 }, { close, look }) {
  const table = createTable({
    caption: "What is different now",
    id: "differences",
    key: (one) => String(one.place),
    columns: [
      {
        name: "step",
        title: "Step",
        build: (get) => button("", "difference-step", () => look(get().step), { class: "button small" }),
        update(element, { step }) {
          element.disabled = !step;
          setText(element, step ? `Step ${step}` : "–");
        },
      },
      { name: "agent", title: "Agent", text: (one) => line(one.agent ?? "", 40) },
      { name: "what", title: "What", text: (one) => line(one.what, 60) },
      { name: "text", title: "How the agents of today differ", wide: true, build: (get) => passage(get().text, { left: get().cut ?? 0, label: "difference" }) },
    ],
  });
  table.update(differences.map((one, place) => ({ ...one, place })));
  const all = differences.length + left;
  return h(
    "section",
    { class: "panel replayed", "data-testid": "replayed", "aria-labelledby": "replayed-title" },
    h(
      "div",
      { class: "panel-head" },
      h("h2", { id: "replayed-title", tabindex: "-1" }, "Replay"),
      same ? badge("same", "ok") : badge(plural(all, "difference"), "warn"),
      h("span", { class: "muted" }, `${plural(steps, "step")} gone through`),
      button("Close", "replayed-close", close, { class: "button small push" }),
    ),
    same ? h("p", { class: "panel-body" }, "The agents as they are now go the way that is recorded.") : table.element,
    left > 0 ? h("p", { class: "panel-body muted" }, `${count(left)} more are not shown.`) : null,
  );
}
