// Who did what with this dashboard, and what came of it.

import { badge, button, empty, fill, h, setAttribute, setText } from "../dom.js";
import { clock } from "../logic/format.js";
import { line, written } from "../logic/text.js";
import { createTable } from "../table.js";
import { cursors } from "../talk/pages.js";
import { failure, named } from "../talk/passage.js";

const PAGE = 50;
const OUTCOMES = { done: "ok", failed: "bad", asked: "info" };

export default {
  name: "audit",
  title: "Audit log",
  live: null,
  open(root, { me, api }) {
    if (!me.may.read) {
      fill(root, empty("This key looks at figures only.", "The audit log is read with the scope admin."));
      return {};
    }
    const table = createTable({
      caption: "Audit log, the newest first",
      id: "audit",
      key: (one) => String(one.position),
      columns: [
        { name: "at", title: "Time", text: (one) => clock(one.at) },
        { name: "who", title: "Who", text: (one) => line(one.who || "–", 48) },
        { name: "action", title: "Action", text: (one) => line(String(one.action).replaceAll("_", " "), 40) },
        {
          name: "outcome",
          title: "Outcome",
          build: () => badge(""),
          update(element, { outcome }) {
            setText(element, line(outcome, 20));
            setAttribute(element, "class", `badge ${OUTCOMES[outcome] ?? "quiet"}`);
          },
        },
        { name: "target", title: "Target", wide: true, build: () => h("bdi", { class: "mono" }), update: (element, one) => setText(element, line(one.target, 120)) },
        {
          name: "details",
          title: "Details",
          wide: true,
          build: () => h("div", null),
          update: (element, { details, error }) => fill(element, said(details), error ? h("p", { class: "bad" }, named(error, 400)) : null),
        },
      ],
    });
    const list = h("div", { "data-testid": "audit-list" }, h("p", { class: "empty" }, "Looking …"));
    const paged = cursors({
      id: "audit",
      words: ["Newer", "Older"],
      fetch: (after) => api.get(`audit?${new URLSearchParams({ limit: PAGE, ...(after === null ? {} : { after }) })}`),
      draw({ entries }) {
        table.update(entries);
        fill(list, entries.length === 0 ? nothing() : table.element);
      },
      fail: (error) => fill(list, failure(error, paged.again)),
    });
    fill(
      root,
      h(
        "div",
        { class: "toolbar" },
        h("p", { class: "muted" }, "Every action is written down before it is done, and then what came of it. “Asked” is one of which nothing more is known."),
        button("Refresh", "audit-refresh", () => paged.first(), { class: "button push" }),
      ),
      h("div", { class: "panel" }, list),
      paged.element,
    );
    paged.first();
    return { close: () => paged.close() };
  },
};

function nothing() {
  return empty("Nobody has done anything yet.", "Killing, restarting, approving, raising a budget: all of it is written here.");
}

function said(details) {
  if (details === null || details === undefined || details === "") return null;
  if (typeof details !== "object") return named(details, 300);
  return Object.entries(details)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => h("p", null, h("span", { class: "muted" }, named(name, 40), " "), named(written(value), 300)));
}
