// What waits for a person.

import { empty, fill, h, setAttribute, setText } from "../dom.js";
import { duration, plural, shortId } from "../logic/format.js";
import { line, path } from "../logic/text.js";
import { createTable } from "../table.js";
import { approval, past } from "./approval.js";

export default {
  name: "approvals",
  title: "Approvals",
  live: "approvals",
  at: ({ path: parts }) => (parts.length > 1 ? approval(parts.slice(1).join("/")) : null),
  open(root, { me }) {
    const linked = (element, words, to) => {
      setText(element, words);
      setAttribute(element, "href", me.may.read ? `#/${to}` : null);
    };
    const table = createTable({
      caption: "What waits for a person",
      id: "approvals",
      key: (one) => one.approval,
      columns: [
        {
          name: "wants",
          title: "What is wanted",
          wide: true,
          build: () => h("a", { dir: "auto", "data-testid": "approval-link" }),
          update: (element, one) =>
            linked(element, one.wants === "limits" ? "More than its limits" : line(one.tool, 60), `approvals/${path(one.approval)}`),
        },
        { name: "agent", title: "Agent", text: (one) => line(one.agent, 40) },
        {
          name: "conversation",
          title: "Conversation",
          build: () => h("a", { dir: "auto" }),
          update: (element, one) => linked(element, line(one.conversation, 48), `conversations/${path(one.agent, one.conversation)}`),
        },
        { name: "run", title: "Run", text: (one) => line(shortId(one.run, 14)) },
        { name: "waits", title: "Waits for", text: (one) => duration(one.seconds) },
        { name: "who", title: "Decided by", text: (one) => (one.may_decide ? "you" : "somebody else") },
      ],
    });
    const told = h("p", { class: "told muted", role: "status" }, "Looking …");
    const panel = h("div", { class: "panel", hidden: true }, table.element);
    const none = h(
      "div",
      { hidden: true },
      empty("Nothing waits for a person.", "Calls that need an approval, and runs that need more than their limits, are answered here."),
    );
    fill(root, told, panel, none);
    return {
      update({ approvals: read, all: total = read.length }) {
        for (const id of past) if (!read.some((one) => one.approval === id)) past.delete(id);
        const approvals = read.filter((one) => !past.has(one.approval));
        const all = total - (read.length - approvals.length);
        const any = approvals.length > 0;
        panel.hidden = !any;
        none.hidden = any;
        const words = `${plural(all, "decision")} ${all === 1 ? "waits" : "wait"} for a person.`;
        setText(told, !any ? "" : all > approvals.length ? `${words} ${plural(approvals.length, "is", "are")} shown.` : words);
        table.update(approvals);
      },
    };
  },
};
