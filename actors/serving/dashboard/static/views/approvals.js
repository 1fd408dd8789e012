// What waits for a person.

import { empty, fill, h, setAttribute, setText } from "../dom.js";
import { clock, duration, plural, shortId } from "../logic/format.js";
import { line, path, whose } from "../logic/text.js";
import { createTable } from "../table.js";
import { approval, past } from "./approval.js";

const AGAIN = 30; // seconds after which other processes are asked again, at least
const SHARE = 50; // times as long as their answer took: it is made of all conversations that are under way

export default {
  name: "approvals",
  title: "Approvals",
  live: "approvals",
  at: ({ path: parts }) => (parts.length > 1 ? approval(parts.slice(1).join("/")) : null),
  open(root, { me, api }) {
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
        { name: "whose", title: "Asked by", text: (one) => whose(one.user, one.tenant) || "–" },
        { name: "run", title: "Run", text: (one) => line(shortId(one.run, 14)) },
        { name: "waits", title: "Waits for", text: (one) => (one.here === false ? "in another process" : duration(one.seconds)) },
        { name: "who", title: "Decided by", text: (one) => (one.may_decide ? "you" : "somebody else") },
      ],
    });
    const told = h("p", { class: "told muted", role: "status" }, "Looking …");
    const panel = h("div", { class: "panel", hidden: true }, table.element);
    const nothing = empty("Nothing waits for a person.", "Calls that need an approval, and runs that need more than their limits, are answered here.");
    const none = h("div", { hidden: true }, nothing);
    const others = h("p", { class: "told behind muted", "data-testid": "approvals-elsewhere" });
    fill(root, told, panel, none, others);

    let view = null; // what waits here
    let elsewhere = []; // and what does in the other processes with the same journal, where there can be any
    let timer = 0;
    let closed = false;

    async function ask() {
      if (document.hidden) {
        timer = setTimeout(ask, AGAIN * 1000);
        return;
      }
      const began = performance.now();
      let words = "What waits in other processes is not known.";
      try {
        elsewhere = (await api.get("approvals")).approvals.filter((one) => !one.here);
        words = `What waits in other processes with the same journal is as of ${clock(Date.now() / 1000)}.`;
      } catch (error) {
        words = `${words} ${error.detail ?? error.message}`;
      }
      if (closed) return;
      timer = setTimeout(ask, Math.max(AGAIN * 1000, SHARE * (performance.now() - began)));
      setText(others, words);
      if (view !== null) draw();
    }

    function draw() {
      const { approvals: read, all: total = read.length } = view;
      const known = new Set(read.map((one) => one.approval));
      const more = elsewhere.filter((one) => !known.has(one.approval));
      for (const id of past) if (!known.has(id) && !more.some((one) => one.approval === id)) past.delete(id);
      const approvals = [...read, ...more].filter((one) => !past.has(one.approval));
      const all = total + more.length - (read.length + more.length - approvals.length);
      const any = approvals.length > 0;
      panel.hidden = !any;
      none.hidden = any;
      const words = `${plural(all, "decision")} ${all === 1 ? "waits" : "wait"} for a person.`;
      setText(told, !any ? "" : all > approvals.length ? `${words} ${plural(approvals.length, "is", "are")} shown.` : words);
      table.update(approvals);
    }

    if (me.durable) ask();
    return {
      update(read) {
        view = read;
        draw();
      },
      close() {
        closed = true;
        clearTimeout(timer);
      },
    };
  },
};
