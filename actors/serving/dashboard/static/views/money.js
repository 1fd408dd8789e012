// What is spent, a minute and against budgets, and for whom.

import { createChart } from "../charts.js";
import { button, empty, fill, h, setAttribute, setText } from "../dom.js";
import { count, dollars, duration, share, short } from "../logic/format.js";
import { columns, joined } from "../logic/rows.js";
import { path } from "../logic/text.js";
import { createBar, createTable, setBar } from "../table.js";

const MOST = 600; // points
const UNITS = { dollars: "US dollars", tokens: "tokens", requests: "requests" };

function open(root, { me, api, act }) {
  let points = [];
  const charts = [
    createChart({ title: "Money a minute", id: "chart-money", colour: "--accent", words: dollars, ticked: (value) => `$${Number(value.toPrecision(3))}`, height: 210, together: "money" }),
    createChart({ title: "Tokens a minute", id: "chart-tokens", colour: "--ok", words: short, together: "money" }),
    createChart({ title: "Requests a minute", id: "chart-requests", colour: "--warn", words: short, together: "money" }),
    createChart({ title: "Latency", id: "chart-latency", colour: "--map-moving", words: duration, together: "money" }),
  ];
  const budgetColumns = [
    {
      name: "name",
      title: "Budget",
      wide: true,
      sort: (row) => row.name,
      build: () => h("div", { class: "endpoint-name" }, h("strong"), h("span", { class: "muted" })),
      update(element, row) {
        setText(element.children[0], row.name.replace(/:$/, "") || "all");
        const each = row.window ? `each ${row.window}` : "for ever";
        setText(element.children[1], row.pool ? `${each}, ${row.pool}` : each);
      },
    },
    {
      name: "used",
      title: "Used",
      wide: true,
      sort: (row) => part(row),
      build: () => createBar(),
      update(element, row) {
        setBar(element, part(row), share(part(row)), part(row) >= 1 ? "bad" : part(row) >= 0.8 ? "warn" : "");
      },
    },
    { name: "spent", title: "Spent", numeric: true, sort: (row) => row.spent, text: (row) => measured(row, row.spent) },
    { name: "limit", title: "Limit", numeric: true, sort: (row) => row.limit, text: (row) => measured(row, row.limit) },
    { name: "left", title: "Left", numeric: true, sort: (row) => row.limit - row.spent, text: (row) => measured(row, row.limit === null ? null : Math.max(0, row.limit - row.spent)), tone: (row) => (part(row) >= 1 ? "bad" : "") },
  ];
  if (me.may.act) {
    budgetColumns.push({
      name: "act",
      title: "Action",
      hidden: true,
      build: (get) => button("Raise", "raise-budget", () => raise(get()), { class: "button small" }),
      update(element, row) {
        setAttribute(element, "aria-label", `Raise budget ${row.name}`);
        element.disabled = row.limit === null;
      },
    });
  }
  const budgets = createTable({ caption: "Budgets", id: "budgets", key: (row) => row.id, columns: budgetColumns, tone: (row) => (part(row) >= 1 ? "bad" : "") });
  const by = createTable({
    caption: "Spent by agent and by model",
    id: "spent-by",
    key: (row) => `${row.agent === undefined ? "model" : "agent"} ${row.agent ?? row.model}`,
    order: ["cost", true],
    columns: [
      { name: "who", title: "Who", wide: true, sort: (row) => row.agent ?? row.model, text: (row) => row.agent ?? row.model },
      { name: "what", title: "Is", sort: (row) => (row.agent === undefined ? "model" : "agent"), text: (row) => (row.agent === undefined ? "model" : "agent") },
      { name: "tokens", title: "Tokens", numeric: true, sort: (row) => row.tokens ?? 0, text: (row) => short(row.tokens) },
      { name: "cost", title: "Cost", numeric: true, sort: (row) => row.cost, text: (row) => dollars(row.cost) },
    ],
  });
  const noBudgets = h("div", { hidden: true }, empty("There are no budgets.", "A pool has those that it was made with."));
  const nobody = h("div", { hidden: true }, empty("Nothing was spent yet."));
  fill(
    root,
    h("div", { class: "charts" }, charts.map((chart) => chart.element)),
    h(
      "div",
      { class: "halves" },
      h("section", { class: "panel", "aria-labelledby": "budgets-title" }, h("div", { class: "panel-head" }, h("h2", { id: "budgets-title" }, "Budgets")), budgets.element, noBudgets),
      h("section", { class: "panel", "aria-labelledby": "by-title" }, h("div", { class: "panel-head" }, h("h2", { id: "by-title" }, "Spent by")), by.element, nobody),
    ),
  );

  function raise(row) {
    const fields = [
      {
        name: "limit",
        label: `New limit, ${UNITS[row.measure ?? "dollars"] ?? row.measure}`,
        type: "number",
        min: String(row.limit),
        step: "any",
        required: true,
        value: String(row.limit),
        hint: `${measured(row, row.spent)} of ${measured(row, row.limit)} are spent.`,
      },
      { name: "reason", label: "Reason", hint: "Written to the audit log with your name." },
    ];
    act("Raise budget", row.name, ({ limit, reason }) => api.post(path("budgets", row.id), { limit, reason }), {
      fields,
      text: `It holds from now on${row.window ? ` for each ${row.window}` : ""}, in this process, until that ends.`,
      done: `The budget ${row.name} is raised`,
    });
  }

  return {
    update(view, { event }) {
      points = event === "snapshot" ? view.points.slice(-MOST) : joined(points, view.points, MOST);
      const [times, ...values] = columns(points, 5);
      charts.forEach((chart, at) => chart.update(times, values[at]));
      budgets.update(view.budgets);
      budgets.element.hidden = view.budgets.length === 0;
      noBudgets.hidden = view.budgets.length > 0;
      by.update(view.by);
      by.element.hidden = view.by.length === 0;
      nobody.hidden = view.by.length > 0;
    },
    close() {
      for (const chart of charts) chart.close();
    },
  };
}

/** An amount of what a budget limits. */
function measured(row, amount) {
  if (amount === null) return "no limit";
  return (row.measure ?? "dollars") === "dollars" ? dollars(amount) : count(amount);
}

/** How much of a budget is used, from 0. */
function part(row) {
  return row.limit > 0 ? row.spent / row.limit : row.spent > 0 ? 1 : 0;
}

export default { name: "money", title: "Money", live: "money", open };
