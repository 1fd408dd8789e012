// What was said in a conversation.

import { badge, empty, h } from "../dom.js";
import { keyed, pages } from "./pages.js";
import { named, passage } from "./passage.js";

const SPEAKERS = { user: "User", assistant: "Agent", tool: "Result", system: "Instructions" };

/**
 * @param {(end: number) => Promise<{before: number, items: object[]}>} older asks for those that end at a place.
 * @returns {{element: HTMLElement, show: (messages: import("../logic/known.js").Known) => void}}
 */
export function messages(older) {
  const list = h("ol", { class: "messages" });
  const none = h("div", null, empty("Nothing has been said yet."));
  const draw = keyed(list, message);
  const paged = pages({ what: "messages", size: 50, draw, body: list, older });
  return {
    element: h("div", null, paged.element, none),
    show(given) {
      none.hidden = given.total > 0;
      paged.show(given);
    },
  };
}

function message(said, index) {
  const speaker = SPEAKERS[said.role] ?? said.role;
  return h(
    "li",
    { class: "message", "data-role": said.role, "data-testid": "message", value: index + 1 },
    h(
      "div",
      { class: "message-head" },
      h("span", { class: "message-speaker" }, speaker, said.name ? [" ", named(said.name)] : null),
      said.tool_call_id ? h("span", { class: "muted" }, "of ", named(said.tool_call_id, 32)) : null,
      h("span", { class: "message-number muted", "aria-hidden": true }, index + 1),
    ),
    said.content === "" || said.content === null || said.content === undefined
      ? null
      : passage(said.content, { left: said.cut ?? 0, label: "message", code: said.role === "tool" }),
    (said.tool_calls ?? []).map(call),
  );
}

function call({ id, name, arguments: given, cut = 0 }) {
  return h(
    "div",
    { class: "call" },
    h("div", { class: "call-head" }, badge("call", "info"), " ", h("strong", null, named(name)), " ", h("span", { class: "muted" }, named(id, 32))),
    given === "" || given === "{}" ? null : passage(given, { code: true, left: cut, label: "call" }),
  );
}
