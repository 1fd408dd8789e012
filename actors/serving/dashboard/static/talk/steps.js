// The steps of a conversation: completions, and what was done by them.

import { badge, button, empty, h } from "../dom.js";
import { clock, count, dollars, duration } from "../logic/format.js";
import { path } from "../logic/text.js";
import { keyed, pages } from "./pages.js";
import { named, passage } from "./passage.js";

const KINDS = { model: "Model", tool: "Tool", handoff: "Handoff", approval: "Approval", guardrail: "Guardrail" };
const TONES = { done: "ok", approved: "ok", failed: "bad", denied: "bad", refused: "bad", waiting: "warn", running: "info" };
const SIZE = 50;

/**
 * @param {{fork: ?(step: number) => void, older: Function}} how `fork` is asked to fork behind a step, null where nobody
 *   may; `older` asks for the steps that end at a place.
 * @returns {{element: HTMLElement, show: (steps: import("../logic/known.js").Known) => void,
 *   reveal: (step: number) => void}} `show` takes steps as `byStep` makes them.
 */
export function steps({ fork, older }) {
  const list = h("ol", { class: "steps" });
  const none = h("div", null, empty("No step has been made yet."));
  const draw = keyed(list, ({ rows }) => h("li", { "data-step": rows[0].step }, rows.map((one) => row(one, fork))));
  const paged = pages({ what: "steps", size: SIZE, draw, body: list, older });
  return {
    element: h("div", null, paged.element, none),
    show(given) {
      none.hidden = given.total > 0;
      paged.show(given);
    },
    async reveal(number) {
      await paged.reveal(number - 1);
      const place = list.querySelector(`[data-step="${Number(number)}"] details`);
      if (!place) return;
      place.open = true;
      place.querySelector("summary").focus();
      place.scrollIntoView({ block: "center" });
    },
  };
}

function row(one, fork) {
  const figures = [
    one.tokens > 0 ? `${count(one.tokens)} tokens` : "",
    one.cost > 0 ? dollars(one.cost) : "",
    one.seconds > 0 ? duration(one.seconds) : "",
  ].filter(Boolean);
  const inside = [
    ["Thought", one.reasoning, false],
    [one.kind === "handoff" ? "Task" : "Said", one.text, false],
    ["Arguments", one.arguments, true],
    ["Result", one.error ? null : one.result, true],
    ["Error", one.error, false],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const own = !one.depth; // deeper: of an agent that worked for this one
  const element = h(
    "div",
    { class: "step", "data-kind": one.kind, "data-testid": "step" },
    h(
      "details",
      null,
      h(
        "summary",
        { "data-testid": "step-summary" },
        h("span", { class: "step-number" }, own && one.kind === "model" ? one.step : ""),
        h("span", { class: "step-kind" }, KINDS[one.kind] ?? named(one.kind)),
        h("span", { class: "step-name" }, named(one.name || one.agent, 60), h("span", { class: "muted" }, " by ", named(one.agent, 40))),
        badge(named(one.status || "–", 20), TONES[one.status] ?? "quiet"),
        h("span", { class: "step-figures muted" }, figures.join(" · ")),
      ),
      h(
        "div",
        { class: "step-body" },
        one.at > 0 ? h("p", { class: "muted" }, `Recorded ${clock(one.at)}`) : null,
        inside.map(([title, value, code]) => [h("h3", null, title), passage(value, { code, left: one.cut ?? 0 })]),
        inside.length === 0 ? h("p", { class: "muted" }, "Nothing more is kept of it.") : null,
        one.approval ? h("a", { href: `#/approvals/${path(one.approval)}`, "data-testid": "step-approval" }, "Decide it") : null,
        fork !== null && own && one.kind === "model" && one.step > 0
          ? button(`Fork behind step ${one.step}`, "fork-step", () => fork(one.step), { class: "button small" })
          : null,
      ),
    ),
  );
  element.style.setProperty("--depth", Math.min(6, (one.depth ?? 0) + (one.kind === "model" ? 0 : 1)));
  return element;
}
