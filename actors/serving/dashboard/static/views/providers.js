// Pools with their queues, and the endpoints of each with their breakers, limits and latency.

import { empty, fill, h, setAttribute, setText } from "../dom.js";
import { count, dollars, duration, plural, share, short } from "../logic/format.js";
import { createBar, createTable, setBar } from "../table.js";

const STATES = { closed: "ok", ramping: "warn", "half-open": "warn", drained: "warn", open: "bad", disabled: "bad", stopped: "bad" };
/** `[word, what it means, whether it is dangerous]` */
const LASTS = "That holds in this process, until it ends.";
const ACTIONS = {
  drain: ["Drain", `Nothing more is sent to it until it is resumed. What is in flight ends; what only it can serve waits. ${LASTS}`, false],
  resume: ["Resume", "Requests are sent to it again.", false],
  probe: ["Probe", "A tiny request is sent to it, and what comes of it counts for its breaker.", false],
  remove: ["Remove", `Nothing more is sent to it, and it is gone from the pool once its requests in flight have ended. ${LASTS}`, true],
};
/** What each of a row's buttons does now: the first is another one where the endpoint is drained. */
const offered = (row) => [row.state === "drained" ? "resume" : "drain", "probe", "remove"];

function open(root, { me, api, act }) {
  const pools = new Map();
  const none = h("div", { class: "panel", hidden: true });
  const list = h("div", { class: "pools" });
  fill(root, list, none);

  function ask(action, { pool, name: endpoint }) {
    const [word, text, danger] = ACTIONS[action];
    act(word, `${endpoint} of ${pool}`, ({ reason }) => api.post(`providers/${action}`, { pool, endpoint, reason }), { text, danger });
  }

  function make(name) {
    const title = h("h2", { class: "mono" }, name);
    const queue = h("span", { class: "badge" });
    const cost = h("span", { class: "muted" });
    const columns = [
      {
        name: "name",
        title: "Endpoint",
        wide: true,
        sort: (row) => row.name,
        build: () => h("div", { class: "endpoint-name" }, h("strong"), h("span", { class: "muted" })),
        update(element, row) {
          setText(element.children[0], row.name);
          setText(element.children[1], row.model ?? "");
        },
      },
      {
        name: "state",
        title: "Breaker",
        wide: true,
        sort: (row) => row.state,
        build: () => h("div", { class: "endpoint-state" }, h("span", { class: "badge" }), h("span", { class: "muted reason" })),
        update(element, row) {
          const [state, reason] = element.children;
          setText(state, row.state);
          setAttribute(state, "class", `badge ${STATES[row.state] ?? "quiet"}`);
          setText(reason, row.reason || (row.available ? "" : "takes no requests now"));
        },
      },
      {
        name: "limits",
        title: "Limits",
        wide: true,
        build: () => h("div", { class: "limits" }),
        update(element, row) {
          const limits = row.limits ?? [];
          const kinds = limits.map((one) => one.kind).join("|");
          if (element.dataset.kinds !== kinds) {
            element.dataset.kinds = kinds;
            fill(element, limits.length > 0 ? limits.map((one) => createBar(one.kind.replaceAll("_", " "))) : h("span", { class: "muted" }, "none"));
          }
          limits.forEach((one, at) => {
            const here = one.share ?? one.limit;
            const part = here > 0 ? one.used / here : 0;
            const whole = one.share === undefined ? "" : ` of ${short(one.limit)}`;
            const words = one.limit === null ? `${short(one.used)}, no limit` : `${short(one.used)} / ${short(here)}${whole}`;
            setBar(element.children[at], part, words, part >= 1 ? "bad" : part >= 0.8 ? "warn" : "");
          });
        },
      },
      { name: "flight", title: "In flight", numeric: true, sort: (row) => row.in_flight, text: (row) => count(row.in_flight) },
      { name: "latency", title: "Latency", numeric: true, sort: (row) => row.latency, text: (row) => (row.answered > 0 ? duration(row.latency) : "–") },
      { name: "errors", title: "Errors", numeric: true, sort: (row) => row.error_rate, text: (row) => share(row.error_rate), tone: (row) => (row.error_rate >= 0.2 ? "bad" : row.error_rate >= 0.05 ? "warn" : "") },
      {
        name: "answered",
        title: "Answered",
        numeric: true,
        sort: (row) => row.answered,
        build: () => h("div", null, h("div"), h("div", { class: "muted" })),
        update(element, row) {
          setText(element.children[0], count(row.answered));
          setText(element.children[1], row.failed > 0 ? `${count(row.failed)} failed` : "");
        },
      },
      { name: "tokens", title: "Tokens", numeric: true, sort: (row) => row.tokens, text: (row) => short(row.tokens) },
      { name: "cost", title: "Cost", numeric: true, sort: (row) => row.cost, text: (row) => dollars(row.cost) },
    ];
    if (me.may.act) {
      columns.push({
        name: "act",
        title: "Actions",
        hidden: true,
        wide: true,
        build: (get) =>
          h(
            "div",
            { class: "row-buttons" },
            [0, 1, 2].map((at) => h("button", { type: "button", class: "button small", onclick: () => ask(offered(get())[at], get()) })),
          ),
        update(element, row) {
          offered(row).forEach((action, at) => {
            const place = element.children[at];
            const [word] = ACTIONS[action];
            setText(place, word);
            setAttribute(place, "data-testid", `provider-${action}`);
            setAttribute(place, "aria-label", `${word} ${row.name} of ${row.pool}`);
          });
        },
      });
    }
    const table = createTable({
      caption: `Endpoints of ${name}`,
      id: `endpoints-${name}`,
      key: (row) => `${row.name}\n${row.model ?? ""}`,
      columns,
      tone: (row) => (row.available ? "" : "bad"),
    });
    const element = h(
      "section",
      { class: "panel pool", "aria-label": `Pool ${name}` },
      h("div", { class: "panel-head" }, title, queue, cost),
      table.element,
    );
    return { element, queue, cost, table };
  }

  return {
    update(view) {
      const names = view.pools.map((pool) => pool.name);
      for (const [name, pool] of pools) {
        if (names.includes(name)) continue;
        pool.element.remove();
        pools.delete(name);
      }
      for (const pool of view.pools) {
        let shown = pools.get(pool.name);
        if (shown === undefined) {
          shown = make(pool.name);
          pools.set(pool.name, shown);
          list.append(shown.element);
        }
        const late = pool.waiting > 0 && pool.oldest >= 5;
        setText(shown.queue, pool.waiting > 0 ? `${plural(pool.waiting, "request")} queued, oldest ${duration(pool.oldest)}` : "queue empty");
        setAttribute(shown.queue, "class", `badge ${late ? "bad" : pool.waiting > 0 ? "warn" : "quiet"}`);
        setText(shown.cost, `${dollars(pool.cost)} spent`);
        shown.table.update(view.endpoints.filter((one) => one.pool === pool.name));
      }
      none.hidden = view.pools.length > 0;
      if (!none.hidden && none.firstChild === null) fill(none, empty("No pool answers.", "A pool is here once an agent of this process has asked a model through it."));
    },
  };
}

export default { name: "providers", title: "Providers", live: "providers", open };
