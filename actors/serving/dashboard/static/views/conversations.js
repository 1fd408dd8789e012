// The conversations that are kept: found, and paged.

import { badge, button, empty, fill, h, setAttribute, setText } from "../dom.js";
import { clock, count } from "../logic/format.js";
import { line, path, whose } from "../logic/text.js";
import { createTable } from "../table.js";
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
      type: "search", value: route.query.get("q") ?? "", placeholder: "Conversation or user", autocomplete: "off",
      "data-testid": "conversations-search", oninput: later,
    });
    const agents = h(
      "select",
      { "data-testid": "conversations-agent", onchange: find },
      h("option", { value: "" }, "all agents"),
      me.agents.map((name) => h("option", { value: name }, named(name, 60))),
    );
    agents.value = route.query.get("agent") ?? "";
    const table = createTable({
      caption: "Conversations",
      id: "conversations",
      key: (one) => `${one.agent}/${one.conversation}`,
      columns: [
        {
          name: "conversation",
          title: "Conversation",
          wide: true,
          build: () => h("a", { dir: "auto", "data-testid": "conversation-link" }),
          update(element, one) {
            setText(element, line(one.conversation, 80));
            setAttribute(element, "href", `#/conversations/${path(one.agent, one.conversation)}`);
          },
        },
        { name: "agent", title: "Agent", text: (one) => line(one.agent, 40) },
        { name: "user", title: "User", text: (one) => whose(one.user, one.tenant) || "–" },
        { name: "events", title: "Events", numeric: true, text: (one) => count(one.events) },
        { name: "updated", title: "Changed", text: (one) => clock(one.updated) },
        {
          name: "state",
          title: "State",
          build: () => badge(""),
          update(element, one) {
            const [words, tone] = one.damaged ? ["damaged", "bad"] : one.running ? ["running", "info"] : ["idle", "quiet"];
            setText(element, words);
            setAttribute(element, "class", `badge ${tone}`);
            setAttribute(element, "title", one.damaged ? line(one.damaged, 200) : null);
          },
        },
      ],
    });
    const list = h("div", { "data-testid": "conversations-list" }, h("p", { class: "empty" }, "Looking …"));
    const paged = cursors({ id: "conversations", fetch, draw, fail: (error) => fill(list, failure(error, paged.again)) });
    fill(
      root,
      h(
        "form",
        { class: "toolbar", role: "search", onsubmit: (event) => { event.preventDefault(); find(); } },
        h("label", { class: "pair" }, "Search ", search),
        h("label", { class: "pair" }, "Agent ", agents),
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
      table.update(conversations);
      fill(list, table.element);
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
