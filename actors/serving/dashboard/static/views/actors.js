// The tree of actors: a treegrid beside a map, and what there is to say and to do about the one that is chosen.

import { badge, button, empty, fill, h, setAttribute, setText } from "../dom.js";
import { count, duration, plural } from "../logic/format.js";
import { Tree } from "../logic/tree.js";
import { createGrid } from "../tree/grid.js";
import { createMap } from "../tree/map.js";

const SHOWS = [
  ["all", "All"],
  ["waiting", "With messages"],
  ["off", "Not running"],
  ["restarted", "Restarted"],
  ["crashed", "Crashed"],
];
const PHASES = ["running", "new", "starting", "failing", "suspending", "restarting", "stopping", "dead"];

/** `[action, word, what it means, whether it is dangerous]` */
const ACTIONS = [
  ["restart", "Restart", "It finishes the message at work and is started again in its place. What waits in its mailbox stays; no failure is counted.", false],
  ["stop", "Stop", "It stops once it has processed what was sent to it before, and those below it stop with it. It is not started again.", true],
  ["kill", "Kill", "It crashes now, in the middle of whatever it does. Its supervisor restarts it as after any crash.", true],
];

function open(root, context) {
  const tree = new Tree();
  let loaded = false;
  let chosen = ""; // its path
  let collapsed = new Set();
  const collapsedFound = new Set(); // while something is looked for, all is open at first
  const how = { text: context.route.query.get("find") ?? "", show: "all", phase: "", order: "tree" };
  const looksFor = () => how.text.trim() !== "" || how.show !== "all" || how.phase !== "";
  const closed = () => (looksFor() ? collapsedFound : collapsed);

  const grid = createGrid({
    choose(node) {
      chosen = node.path;
      tell();
      map.draw(tree, chosen);
    },
    toggle(node, toOpen) {
      if (toOpen) closed().delete(node.path);
      else closed().add(node.path);
      draw();
    },
    order(order) {
      how.order = order;
      grid.element.scrollTop = 0;
      draw();
    },
    collapsed: (node) => closed().has(node.path),
  });
  const map = createMap(reveal);

  const filter = h("input", {
    type: "search",
    class: "filter",
    placeholder: "Find by path, kind or crash",
    "aria-label": "Find actors by path, kind or crash",
    "data-testid": "filter",
    value: how.text,
    oninput() {
      how.text = filter.value;
      again();
    },
  });
  const chips = SHOWS.map(([show, word]) => {
    const number = h("span", { class: "chip-count" });
    const chip = h(
      "button",
      { type: "button", class: "button chip", "aria-pressed": "false", "data-testid": `show-${show}`, onclick: pick },
      word,
      number,
    );
    function pick() {
      how.show = show;
      again();
    }
    return { show, chip, number };
  });
  const phases = h(
    "select",
    { "aria-label": "State", "data-testid": "phase", onchange: () => ((how.phase = phases.value), again()) },
    h("option", { value: "" }, "Any state"),
    PHASES.map((phase) => h("option", { value: phase }, phase)),
  );
  const small = { class: "button small" };
  const openAll = () => {
    closed().clear();
    draw();
  };
  const closeAll = () => {
    for (const node of tree.nodes.values()) if (node.children.size > 0) closed().add(node.path);
    draw();
  };
  const expand = button("Expand all", "expand", openAll, small);
  const collapse = button("Collapse all", "collapse", closeAll, small);
  const found = h("p", { class: "found muted", role: "status", "data-testid": "found" });
  const note = h("p", { class: "warning", hidden: true });
  const none = h("div", { class: "tree-none", hidden: true });
  const detail = createDetail(context);

  fill(
    root,
    h("div", { class: "toolbar" }, filter, h("div", { class: "chips", role: "group", "aria-label": "Show" }, chips.map((one) => one.chip)), phases),
    note,
    h(
      "div",
      { class: "actors-room" },
      h("div", { class: "panel tree-panel" }, grid.element, none, h("div", { class: "tree-foot" }, found, h("div", null, expand, collapse))),
      h("div", { class: "actors-side" }, detail.element, map.element),
    ),
  );

  function again() {
    collapsedFound.clear();
    grid.element.scrollTop = 0;
    draw();
  }

  function reveal(path) {
    if (looksFor() || how.order !== "tree") {
      how.text = filter.value = "";
      how.show = "all";
      how.phase = phases.value = "";
      how.order = "tree";
    }
    for (let node = tree.nodes.get(path)?.parent ?? null; node !== null; node = node.parent) collapsed.delete(node.path);
    draw();
    grid.choose(path);
  }

  function tell() {
    detail.tell(chosen, tree.nodes.get(chosen) ?? null);
  }

  function draw() {
    const { rows, found: number } = tree.flatten({ ...how, collapsed: closed() });
    grid.draw(rows, how.order);
    map.draw(tree, chosen);
    tell();
    for (const { show, chip, number: place } of chips) {
      setAttribute(chip, "aria-pressed", String(show === how.show));
      setText(place, count(tree.counts[show]));
    }
    setText(found, looksFor() ? `${plural(number, "actor")} found of ${count(tree.counts.all)}` : plural(tree.counts.all, "actor"));
    const more = tree.all - tree.counts.all;
    note.hidden = more <= 0;
    if (more > 0) setText(note, `There are ${count(tree.all)} actors. ${count(more)} of them, the deepest, are not shown.`);
    none.hidden = !loaded || rows.length > 0;
    grid.element.hidden = loaded && rows.length === 0;
    if (!none.hidden) {
      fill(none, tree.counts.all === 0 ? empty("There are no actors.", "The agency has not started any yet, or has stopped.") : empty("No actor is like that.", "Look for something else, or show all."));
    }
    expand.disabled = how.order !== "tree" || closed().size === 0;
    collapse.disabled = how.order !== "tree";
  }

  tell();
  return {
    update(view, { event }) {
      if (event === "snapshot") {
        tree.load(view);
        if (!loaded) collapsed = new Set(tree.crowded());
        loaded = true;
      } else {
        tree.change(view);
      }
      for (const path of collapsed) if (!tree.nodes.has(path)) collapsed.delete(path);
      for (const path of collapsedFound) if (!tree.nodes.has(path)) collapsedFound.delete(path);
      draw();
    },
    close() {
      grid.close();
      map.close();
    },
  };
}

/** What there is to say about the actor that is chosen. */
function createDetail({ me, api, act }) {
  const title = h("h2", { class: "mono detail-path", "data-testid": "chosen" });
  const values = {};
  const fact = (name, label) => {
    values[name] = h("dd");
    return h("div", null, h("dt", null, label), values[name]);
  };
  const facts = h("dl", { class: "actor-facts" }, fact("kind", "Kind"), fact("phase", "State"), fact("mailbox", "Mailbox"), fact("restarts", "Restarts"), fact("below", "Below it"));
  const crash = h("pre", { class: "crash", tabindex: "0", role: "group", "aria-label": "Why it crashed last", hidden: true });
  let node = null;
  const buttons = me.may.act
    ? ACTIONS.map(([action, word, text, danger]) =>
        button(
          word,
          action,
          () => {
            const path = node.path;
            const call = ({ reason }) => api.post(`actors/${action}`, { path, reason });
            act(word, path, call, { text: node.below > 0 ? `${text} It has ${plural(node.below, "actor")} below it.` : text, danger });
          },
          danger ? { class: "button danger-line" } : {},
        ),
      )
    : [];
  const gone = h("p", { class: "muted", hidden: true, "data-testid": "gone" }, "It has ended.");
  const inside = h("div", { class: "panel-body" }, title, gone, facts, crash, buttons.length > 0 ? h("div", { class: "detail-buttons" }, buttons) : null);
  const nothing = h("p", { class: "panel-body muted" }, "Choose an actor to see more of it.");
  const element = h("section", { class: "panel detail", "aria-label": "Chosen actor" }, inside, nothing);
  return {
    element,
    tell(path, next) {
      node = next;
      inside.hidden = path === "";
      nothing.hidden = path !== "";
      setAttribute(element, "data-chosen", path !== "");
      setText(title, path);
      gone.hidden = node !== null || path === "";
      facts.hidden = node === null;
      for (const one of buttons) one.disabled = node === null;
      if (node === null) {
        crash.hidden = true;
        return;
      }
      setText(values.kind, node.kind);
      if (values.phase.dataset.phase !== node.phase) {
        values.phase.dataset.phase = node.phase;
        fill(values.phase, badge(node.phase, node.phase === "running" ? "ok" : node.phase === "failing" ? "bad" : "info"));
      }
      setText(values.mailbox, node.waiting > 0 ? `${plural(node.waiting, "message")}, oldest ${duration(node.age)}` : "empty");
      setText(values.restarts, count(node.restarts));
      const below = [count(node.below)];
      if (node.belowWaiting > 0) below.push(`${count(node.belowWaiting)} with messages, oldest ${duration(node.belowOldest)}`);
      if (node.belowOff > 0) below.push(`${count(node.belowOff)} not running`);
      setText(values.below, below.join(", "));
      crash.hidden = node.crash === "";
      if (node.crash !== "") setText(crash, node.crash);
    },
  };
}

export default { name: "actors", title: "Actors", live: "actors", open };
