// Who did what with this dashboard, and what came of it.

import { badge, button, empty, fill, h } from "../dom.js";
import { clock, count } from "../logic/format.js";
import { written } from "../logic/text.js";
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
    const list = h("div", { "data-testid": "audit-list" }, h("p", { class: "empty" }, "Looking …"));
    const paged = cursors({
      id: "audit",
      words: ["Newer", "Older"],
      fetch: (after) => api.get(`audit?${new URLSearchParams({ limit: PAGE, ...(after === null ? {} : { after }) })}`),
      draw: ({ entries }) => fill(list, entries.length === 0 ? nothing() : table(entries)),
      fail: (error) => fill(list, failure(error, paged.again)),
    });
    fill(
      root,
      h(
        "div",
        { class: "toolbar" },
        h("p", { class: "muted" }, "Every action is written down before it is done, and again with what came of it; the newest first."),
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

function table(entries) {
  const titles = ["Time", "Who", "Action", "Target", "Outcome", "Details"];
  return h(
    "table",
    { class: "list cards" },
    h("caption", { class: "unseen" }, "Audit log"),
    h("thead", null, h("tr", null, titles.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", null, entries.map(row)),
  );
}

function row({ position, at, who, action, target, details, outcome, error }) {
  return h(
    "tr",
    { "data-testid": "audit-row", "data-position": position, "data-outcome": outcome },
    h("td", { "data-label": "Time", title: `Entry ${count(position)}` }, clock(at)),
    h("td", { "data-label": "Who" }, named(who || "–", 48)),
    h("td", { "data-label": "Action" }, named(String(action).replaceAll("_", " "), 40)),
    h("td", { "data-label": "Target", class: "mono wide" }, named(target, 120)),
    h("td", { "data-label": "Outcome" }, badge(named(outcome, 20), OUTCOMES[outcome] ?? "quiet")),
    h("td", { "data-label": "Details", class: "wide" }, said(details), error ? h("p", { class: "bad" }, named(error, 400)) : null),
  );
}

function said(details) {
  if (details === null || details === undefined || details === "") return null;
  if (typeof details !== "object") return named(details, 300);
  return Object.entries(details)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => h("p", null, h("span", { class: "muted" }, named(name, 40), " "), named(written(value), 300)));
}
