// The steps of a conversation: completions, and what was done by them.

import { badge, button, empty, h } from "../dom.js";
import { clock, count, dollars, duration } from "../logic/format.js";
import { keyed, pages } from "./pages.js";
import { named, passage } from "./passage.js";

const KINDS = { model: "Model", tool: "Tool", handoff: "Handoff", approval: "Approval", guardrail: "Guardrail" };
const TONES = { done: "ok", approved: "ok", failed: "bad", denied: "bad", refused: "bad", blocked: "bad", waiting: "warn", running: "info" };

/**
 * @param {?(step: object) => void} fork asked to fork behind a step; null where nobody may.
 * @returns {{element: HTMLElement, show: (steps: object[]) => void, reveal: (step: number) => void}}
 */
export function steps(fork) {
  let shown = [];
  const list = h("ol", { class: "steps" });
  const none = h("div", null, empty("No step has been made yet."));
  const draw = keyed(list, (one) => step(one, fork));
  const paged = pages({ what: "steps", size: 100, draw, body: list });
  return {
    element: h("div", null, paged.element, none),
    show(given) {
      shown = given;
      none.hidden = given.length > 0;
      paged.show(given);
    },
    reveal(number) {
      const index = shown.findIndex((one) => one.step === number);
      if (index < 0) return;
      paged.reveal(index);
      const place = list.querySelector(`[data-step="${Number(number)}"] > details`);
      if (!place) return;
      place.open = true;
      place.querySelector("summary").focus();
      place.scrollIntoView({ block: "center" });
    },
  };
}

function step(one, fork) {
  const figures = [
    one.tokens > 0 ? `${count(one.tokens)} tokens` : "",
    one.cost > 0 ? dollars(one.cost) : "",
    one.seconds > 0 ? duration(one.seconds) : "",
  ].filter(Boolean);
  const inside = [
    ["Said", one.text, false],
    ["Arguments", one.arguments, true],
    ["Result", one.result, true],
    ["Error", one.error, false],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const mayFork = fork !== null && one.kind === "model" && one.step > 0;
  return h(
    "li",
    { class: "step", "data-kind": one.kind, "data-step": one.step, "data-testid": "step" },
    h(
      "details",
      null,
      h(
        "summary",
        { "data-testid": "step-summary" },
        h("span", { class: "step-number" }, one.step || "–"),
        h("span", { class: "step-kind" }, KINDS[one.kind] ?? named(one.kind)),
        h("span", { class: "step-name" }, named(one.name || one.agent, 60), h("span", { class: "muted" }, " by ", named(one.agent, 40))),
        badge(one.status || "–", TONES[one.status] ?? "quiet"),
        h("span", { class: "step-figures muted" }, figures.join(" · ")),
      ),
      h(
        "div",
        { class: "step-body" },
        one.at > 0 ? h("p", { class: "muted" }, `Recorded ${clock(one.at)}`) : null,
        inside.map(([title, value, code]) => [h("h3", null, title), passage(value, { code, left: one.cut ?? 0 })]),
        inside.length === 0 ? h("p", { class: "muted" }, "Nothing more is kept of it.") : null,
        mayFork ? button(`Fork behind step ${one.step}`, "fork-step", () => fork(one), { class: "button small" }) : null,
      ),
    ),
  );
}
