// The conversations that are kept: found, and paged.

import { badge, button, empty, fill, h } from "../dom.js";
import { clock, count } from "../logic/format.js";
import { path } from "../logic/text.js";
import { cursors } from "../talk/pages.js";
import { failure, named } from "../talk/passage.js";
import { conversation } from "./conversation.js";

const PAGE = 50;
const REST = 250; // milliseconds after the last key until it is searched

export default {
  name: "conversations",
  title: "Conversations",
  live: null,
  at: ({ path: parts }) => (parts.length > 2 ? conversation(parts[1], parts.slice(2).join("/")) : null),
  open(root, { me, api, route }) {
    if (!me.may.read) {
      fill(root, empty("This key looks at figures only.", "What is said in conversations is read with the scope admin."));
      return {};
    }
    let timer = 0;
    const search = h("input", {
      type: "search", id: "q", value: route.query.get("q") ?? "", placeholder: "Conversation or user", autocomplete: "off",
      "data-testid": "conversations-search", oninput: later,
    });
    const agents = h(
      "select",
      { id: "agent", "data-testid": "conversations-agent", onchange: find },
      h("option", { value: "" }, "all agents"),
      me.agents.map((name) => h("option", { value: name }, named(name, 60))),
    );
    agents.value = route.query.get("agent") ?? "";
    const list = h("div", { "data-testid": "conversations-list" }, h("p", { class: "empty" }, "Looking …"));
    const paged = cursors({ id: "conversations", fetch, draw, fail: (error) => fill(list, failure(error, paged.again)) });
    fill(
      root,
      h(
        "form",
        { class: "toolbar", role: "search", onsubmit: (event) => { event.preventDefault(); find(); } },
        h("label", { for: "q" }, "Search"), search,
        h("label", { for: "agent" }, "Agent"), agents,
        button("Refresh", "conversations-refresh", () => paged.again()),
      ),
      h("div", { class: "panel" }, list),
      paged.element,
    );

    function asked() {
      const query = new URLSearchParams();
      if (agents.value) query.set("agent", agents.value);
      if (search.value.trim()) query.set("q", search.value.trim());
      return query;
    }

    function later() {
      clearTimeout(timer);
      timer = setTimeout(find, REST);
    }

    function find() {
      clearTimeout(timer);
      const query = asked().toString();
      history.replaceState(null, "", `#/conversations${query ? `?${query}` : ""}`);
      paged.first();
    }

    function fetch(after) {
      const query = asked();
      query.set("limit", PAGE);
      if (after !== null) query.set("after", after);
      return api.get(`conversations?${query}`);
    }

    function draw({ conversations, next }) {
      if (conversations.length === 0) {
        const searched = asked().toString() !== "";
        fill(
          list,
          searched && next ? empty("Nothing of that on this page.", "There is more to look through on the next one.")
          : searched ? empty("Nothing was found.", "Another word, or all agents, may find something.")
          : empty("No conversation is kept yet.", "They are listed here as soon as somebody asks an agent."),
        );
        return;
      }
      fill(
        list,
        h(
          "table",
          { class: "list cards" },
          h("caption", { class: "unseen" }, "Conversations"),
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              h("th", { scope: "col" }, "Conversation"),
              h("th", { scope: "col" }, "Agent"),
              h("th", { scope: "col" }, "User"),
              h("th", { scope: "col", class: "number" }, "Steps"),
              h("th", { scope: "col" }, "Changed"),
              h("th", { scope: "col" }, "State"),
            ),
          ),
          h("tbody", null, conversations.map(row)),
        ),
      );
    }

    paged.first();
    return {
      close() {
        clearTimeout(timer);
        paged.close();
      },
    };
  },
};

function row({ agent, conversation: id, user, steps, updated, running, damaged }) {
  const state = damaged ? badge("damaged", "bad") : running ? badge("running", "info") : badge("idle");
  return h(
    "tr",
    { "data-testid": "conversation-row" },
    h(
      "th",
      { scope: "row", class: "wide" },
      h("a", { href: `#/conversations/${path(agent, id)}`, "data-testid": "conversation-link" }, named(id, 80)),
    ),
    h("td", { "data-label": "Agent" }, named(agent, 40)),
    h("td", { "data-label": "User" }, user ? named(user, 40) : h("span", { class: "muted" }, "nobody named")),
    h("td", { "data-label": "Steps", class: "number" }, count(steps)),
    h("td", { "data-label": "Changed" }, clock(updated)),
    h("td", { "data-label": "State" }, state),
  );
}
