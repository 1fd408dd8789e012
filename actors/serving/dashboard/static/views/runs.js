// Runs under way: what each does, for how long, and what it has cost so far.

import { badge, button, empty, fill, h, setAttribute, setText } from "../dom.js";
import { count, dollars, duration, plural, shortId } from "../logic/format.js";
import { nested } from "../logic/rows.js";
import { path, whose } from "../logic/text.js";
import { createTable } from "../table.js";

const DOING = {
  queued: ["queued", "quiet"],
  model: ["asks the model", "info"],
  tools: ["calls tools", "info"],
  person: ["waits for a person", "warn"],
  limits: ["waits for a person", "warn"],
  ending: ["is ending", "quiet"],
};

function open(root, { me, api, act, route }) {
  let view = null;
  let text = "";
  let only = route.query.get("show") === "stuck";

  const filter = h("input", {
    type: "search",
    class: "filter",
    placeholder: "Find by agent, conversation, user or tool",
    "aria-label": "Find runs by agent, conversation, user, run or tool",
    "data-testid": "filter",
    oninput() {
      text = filter.value;
      draw();
    },
  });
  const stuckCount = h("span", { class: "chip-count" });
  const stuck = h(
    "button",
    {
      type: "button",
      class: "button chip",
      "aria-pressed": String(only),
      "data-testid": "only-stuck",
      onclick() {
        only = !only;
        draw();
      },
    },
    "Only stuck",
    stuckCount,
  );
  const found = h("p", { class: "muted toolbar-note", role: "status", "data-testid": "found" });
  const warning = h("p", { class: "warning bad", hidden: true, "data-testid": "stuck-note" });
  const none = h("div", { class: "panel", hidden: true });

  const columns = [
    {
      name: "agent",
      title: "Agent",
      wide: true,
      sort: (row) => row.agent,
      build: () =>
        h(
          "div",
          { class: "run-name" },
          h("strong"),
          h("span", { class: "run-ids" }, h("a", { class: "mono", "data-testid": "run-conversation" }), h("span", { class: "mono muted" })),
        ),
      update(element, row) {
        const [agent, ids] = element.children;
        const [conversation, run] = ids.children;
        element.style.setProperty("--depth", Math.min(row.depth, 6));
        setText(agent, row.agent);
        setText(conversation, shortId(row.conversation, 18));
        setAttribute(conversation, "href", `#/${path("conversations", row.agent, row.conversation)}`);
        setAttribute(conversation, "title", row.conversation);
        setText(run, shortId(row.run, 14));
        setAttribute(run, "title", row.run);
      },
    },
    {
      name: "doing",
      title: "Does",
      wide: true,
      build: () => h("div", { class: "run-doing" }),
      update(element, row) {
        const [words, tone] = DOING[row.doing] ?? [row.doing || row.status, "quiet"];
        const calls = row.doing === "limits" ? "more than its limits" : (row.calls ?? []).join(", ");
        const now = `${row.stuck}|${words}|${calls}`;
        if (element.dataset.now === now) return;
        element.dataset.now = now;
        fill(element, row.stuck ? badge("stuck", "bad") : null, badge(words, tone), calls ? h("span", { class: "mono run-calls" }, calls) : null);
      },
    },
    { name: "whose", title: "Asked by", sort: (row) => whose(row.user, row.tenant), text: (row) => whose(row.user, row.tenant) || "–" },
    { name: "seconds", title: "For", numeric: true, sort: (row) => row.seconds, text: (row) => duration(row.seconds) },
    { name: "idle", title: "Idle", numeric: true, sort: (row) => row.idle ?? 0, text: (row) => duration(row.idle), tone: (row) => (row.stuck ? "bad" : "") },
    { name: "steps", title: "Steps", numeric: true, sort: (row) => row.steps, text: (row) => count(row.steps) },
    { name: "input", title: "Tokens in", numeric: true, sort: (row) => row.input_tokens, text: (row) => count(row.input_tokens) },
    { name: "output", title: "Tokens out", numeric: true, sort: (row) => row.output_tokens, text: (row) => count(row.output_tokens) },
    { name: "cost", title: "Cost", numeric: true, sort: (row) => row.cost, text: (row) => dollars(row.cost) },
  ];
  if (me.may.act) {
    columns.push({
      name: "act",
      title: "Action",
      hidden: true,
      build: (get) =>
        button(
          "Cancel",
          "cancel",
          () => {
            const { run, agent } = get();
            act("Cancel run", `of ${agent}`, ({ reason }) => api.post(path("runs", run, "cancel"), { reason }), {
              text: `Run ${run} ends as cancelled, and what it has asked of other agents with it.`,
              danger: true,
              done: `Run ${shortId(run, 14)} of ${agent} is cancelled`,
            });
          },
          { class: "button small" },
        ),
      update(element, row) {
        setAttribute(element, "aria-label", `Cancel run ${row.run} of ${row.agent}`);
      },
    });
  }
  const table = createTable({
    caption: "Runs under way",
    id: "runs",
    key: (row) => row.run,
    columns,
    tone: (row) => (row.stuck ? "bad" : ""),
  });
  const panel = h("div", { class: "panel", hidden: true }, table.element);
  fill(root, h("div", { class: "toolbar" }, filter, stuck, found), warning, panel, none);

  function matches(row) {
    if (only && !row.stuck) return false;
    const wanted = text.trim().toLowerCase();
    if (wanted === "") return true;
    return [row.agent, row.conversation, whose(row.user, row.tenant), row.run, ...(row.calls ?? [])].some((one) => String(one).toLowerCase().includes(wanted));
  }

  function draw() {
    if (view === null) return;
    const all = view.runs;
    const rows = nested(all)
      .map(({ run, depth }) => ({ ...run, depth }))
      .filter(matches);
    const number = all.filter((run) => run.stuck).length;
    setAttribute(stuck, "aria-pressed", String(only));
    setText(stuckCount, count(number));
    warning.hidden = number === 0;
    if (number > 0) setText(warning, `${plural(number, "run")} stuck: no sign of work for ${duration(view.stuck_after)} or more.`);
    const filtered = only || text.trim() !== "";
    const more = (view.all ?? all.length) > all.length ? `, the first of ${count(view.all)}` : "";
    setText(found, `${filtered ? `${count(rows.length)} of ` : ""}${plural(all.length, "run")}${more}`);
    panel.hidden = rows.length === 0;
    none.hidden = rows.length > 0;
    if (rows.length === 0) {
      const words = filtered && all.length > 0 ? ["No run is like that.", "Look for something else, or show all."] : ["No run is under way.", "A run is here from when it is asked for until it has ended."];
      if (none.dataset.words !== words[0]) fill(none, empty(...words));
      none.dataset.words = words[0];
    }
    table.update(rows);
  }

  return {
    update(next) {
      view = next;
      draw();
    },
  };
}

export default { name: "runs", title: "Runs", live: "runs", open };
