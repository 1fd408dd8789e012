// What went wrong: runs that are stuck, actors that crashed, messages that found nobody.

import { empty, fill, h, setAttribute, setText } from "../dom.js";
import { clock, count, duration, shortId } from "../logic/format.js";
import { path } from "../logic/text.js";
import { createTable } from "../table.js";

const EVERY = 5; // seconds between two looks at the stuck runs

function section(id, title, table, nothing, more) {
  const number = h("span", { class: "badge quiet", "data-testid": `${id}-count` });
  const none = empty(...nothing);
  const element = h(
    "section",
    { class: "panel", "aria-labelledby": `${id}-title` },
    h("div", { class: "panel-head" }, h("h2", { id: `${id}-title` }, title), number, more ?? null),
    table.element,
    none,
  );
  return {
    element,
    tell(rows, all, tone) {
      table.update(rows);
      table.element.hidden = rows.length === 0;
      none.hidden = rows.length > 0;
      setText(number, all > rows.length ? `${count(rows.length)} of ${count(all)}` : count(all));
      setAttribute(number, "class", `badge ${all > 0 ? tone : "quiet"}`);
    },
  };
}

function open(root, { api }) {
  const where = { name: "actor", title: "Actor", wide: true, sort: (row) => row.actor, build: () => h("a", { class: "mono" }), update: link };
  const when = { name: "at", title: "When", sort: (row) => row.at, text: (row) => clock(row.at) };
  const stuck = section(
    "stuck",
    "Stuck runs",
    createTable({
      caption: "Stuck runs",
      id: "stuck-runs",
      key: (row) => row.run,
      columns: [
        { name: "agent", title: "Agent", wide: true, text: (row) => row.agent },
        {
          name: "conversation",
          title: "Conversation",
          wide: true,
          build: () => h("a", { class: "mono" }),
          update(element, row) {
            setText(element, row.conversation);
            setAttribute(element, "href", `#/${path("conversations", row.agent, row.conversation)}`);
          },
        },
        { name: "run", title: "Run", text: (row) => shortId(row.run, 14) },
        { name: "doing", title: "Waits for", text: (row) => [row.doing, ...(row.calls ?? [])].join(", ") },
        { name: "seconds", title: "For", numeric: true, text: (row) => duration(row.seconds) },
      ],
    }),
    ["No run is stuck.", "A run is stuck that gives no sign of work for long, and waits neither for a person nor for another run."],
    h("a", { href: "#/runs?show=stuck", class: "panel-more", "data-testid": "show-stuck" }, "Show among the runs"),
  );
  const crashes = section(
    "crashes",
    "Crashes",
    createTable({
      caption: "Crashes, the latest first",
      id: "crashes",
      key: (row) => row.key,
      columns: [when, where, { name: "reason", title: "Reason", wide: true, text: (row) => row.text }],
    }),
    ["No actor has crashed.", "Crashes are kept here from when somebody looks on."],
  );
  const letters = section(
    "letters",
    "Dead letters",
    createTable({
      caption: "Dead letters, the latest first",
      id: "dead-letters",
      key: (row) => row.key,
      columns: [when, { ...where, title: "To" }, { name: "message", title: "Message", wide: true, text: (row) => row.text }],
    }),
    ["No message was lost.", "A message that its actor does not take any more is a dead letter."],
  );
  fill(root, h("div", { class: "stack" }, stuck.element, crashes.element, letters.element));

  function link(element, row) {
    setText(element, row.actor);
    setAttribute(element, "href", `#/actors?find=${encodeURIComponent(row.actor)}`);
  }

  stuck.tell([], 0);
  let stop = null;
  return {
    update(view, { summary }) {
      crashes.tell(keyed(view.crashes), view.crashes.length, "bad");
      letters.tell(keyed(view.last), view.dead_letters, "warn");
      // The runs are only asked for while one of them is stuck.
      if (summary.stuck > 0 && stop === null) {
        stop = api.live("runs", EVERY, {
          data(event, data) {
            if (!data.view) return;
            const runs = data.view.runs.filter((run) => run.stuck);
            stuck.tell(runs, runs.length, "bad");
          },
        });
      } else if (summary.stuck === 0 && stop !== null) {
        stop();
        stop = null;
        stuck.tell([], 0);
      }
    },
    close() {
      stop?.();
    },
  };
}

/** Rows with a key each, the latest first; the same thing twice at the same moment has two. */
function keyed(rows) {
  const seen = new Map();
  return rows
    .map(([actor, text, at]) => {
      const name = `${at} ${actor} ${text}`;
      const times = seen.get(name) ?? 0;
      seen.set(name, times + 1);
      return { actor, text, at, key: `${name} ${times}` };
    })
    .sort((one, other) => other.at - one.at);
}

export default { name: "letters", title: "Failures", live: "letters", open };
