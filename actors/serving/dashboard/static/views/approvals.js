// What waits for a person.

import { badge, empty, fill, h, setAttribute, setText } from "../dom.js";
import { duration, plural, shortId } from "../logic/format.js";
import { path } from "../logic/text.js";
import { named } from "../talk/passage.js";
import { approval } from "./approval.js";

export default {
  name: "approvals",
  title: "Approvals",
  live: "approvals",
  at: ({ path: parts }) => (parts.length > 1 ? approval(parts.slice(1).join("/")) : null),
  open(root, { me }) {
    const told = h("p", { class: "muted", role: "status" }, "Looking …");
    const body = h("tbody", null);
    const panel = h(
      "div",
      { class: "panel", hidden: true },
      h(
        "table",
        { class: "list cards" },
        h("caption", { class: "unseen" }, "What waits for a person"),
        h(
          "thead",
          null,
          h("tr", null, ["What is wanted", "Agent", "Conversation", "Run", "Waits for"].map((title) => h("th", { scope: "col" }, title))),
        ),
        body,
      ),
    );
    const none = h("div", { hidden: true }, empty("Nothing waits for a person.", "Calls that need an approval, and runs that need more than their limits, are answered here."));
    fill(root, told, panel, none);
    const rows = new Map();

    return {
      update({ approvals }) {
        const any = approvals.length > 0;
        panel.hidden = !any;
        none.hidden = any;
        setText(told, any ? `${plural(approvals.length, "decision")} ${approvals.length === 1 ? "waits" : "wait"} for a person.` : "");
        const there = new Set(approvals.map((one) => one.approval));
        for (const [id, { element }] of rows) {
          if (there.has(id)) continue;
          element.remove();
          rows.delete(id);
        }
        for (const one of approvals) {
          const known = rows.get(one.approval) ?? row(one, me.may.read);
          if (!rows.has(one.approval)) {
            rows.set(one.approval, known);
            body.append(known.element);
          }
          setText(known.waits, duration(one.seconds));
        }
      },
    };
  },
};

function row(one, mayRead) {
  const waits = h("td", { "data-label": "Waits for" });
  const what = one.wants === "limits" ? "More than its limits" : named(one.tool, 60);
  const link = mayRead ? h("a", { href: `#/approvals/${path(one.approval)}`, "data-testid": "approval-link" }, what) : what;
  const element = h(
    "tr",
    { "data-testid": "approval-row" },
    h("th", { scope: "row", class: "wide" }, link, one.may_decide ? null : [" ", badge("for somebody else", "quiet")]),
    h("td", { "data-label": "Agent" }, named(one.agent, 40)),
    h("td", { "data-label": "Conversation" }, mayRead ? h("a", { href: `#/conversations/${path(one.agent, one.conversation)}` }, named(one.conversation, 48)) : named(one.conversation, 48)),
    h("td", { "data-label": "Run", class: "mono" }, named(shortId(one.run, 14))),
    waits,
  );
  setAttribute(element, "data-approval", one.approval);
  return { element, waits };
}
