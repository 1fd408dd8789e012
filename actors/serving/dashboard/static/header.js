// What is told above every view: whose process this is, whether the page is up to date, and the summary.

import { fill, h, setAttribute, setText } from "./dom.js";
import { bytes, clock, count, dollars, duration, share, short } from "./logic/format.js";

/** `[name, label, words, tone]`: what is told of the summary; a tone where the figure is one to look at. */
const FIGURES = [
  ["actors", "Actors", count],
  ["runs", "Runs", count],
  ["stuck", "Stuck", count, (value) => (value > 0 ? "bad" : "")],
  ["waiting", "Wait for a person", count, (value) => (value > 0 ? "warn" : "")],
  ["dead_letters", "Dead letters", count, (value) => (value > 0 ? "warn" : "")],
  ["cost_a_minute", "Money a minute", dollars],
  ["tokens_a_minute", "Tokens a minute", short],
  ["cost", "Spent", dollars],
  ["cpu", "Processor", share],
  ["rss", "Memory", bytes],
  ["lag", "Loop lag", duration, (value) => (value > 0.25 ? "warn" : "")],
];
const SLOW = 1.5; // seconds between two readings, from which on it is said
const LONG = 6; // attempts after which a server counts as stopped, not as cut off

/**
 * @param {HTMLElement} root
 * @param {{me: object, act: Function, api: object, leave: () => void, choose: (process: number) => void}} page
 * @returns {{processes: (there: object[]) => void, tell: (data: object) => void, state: (state: string, more: object) => void}}
 */
export function createHeader(root, { me, act, api, leave, choose }) {
  const state = h("span", { class: "state", "data-testid": "state", "data-state": "connecting" }, "connecting");
  const spoken = h("span", { class: "unseen", role: "status" });
  const values = new Map();
  const figures = FIGURES.map(([name, label]) => {
    const value = h("dd", { "data-testid": `summary-${name}` }, "–");
    values.set(name, value);
    return h("div", { class: "figure", "data-figure": name }, h("dt", null, label), value);
  });
  const buttons = h("div", { class: "header-buttons" }, theme());
  if (me.may.act) {
    const drain = () =>
      act("Drain", `process ${me.process}`, ({ reason }) => api.post("drain", { reason }), {
        text:
          "It takes nothing more, waits for what is under way, and stops its agency. The process itself stays, not " +
          "ready, until whoever runs it ends it.",
        danger: true,
        done: `Process ${me.process} takes nothing more, and stops its agency`,
      });
    buttons.append(
      h("button", { type: "button", class: "button", "data-testid": "drain", onclick: drain }, "Drain process"),
    );
  }
  buttons.append(
    h("button", { type: "button", class: "button quiet", "data-testid": "leave", onclick: leave }, "Forget key"),
  );
  const which = processes(me, choose);
  fill(
    root,
    h(
      "div",
      { class: "header-top" },
      h("p", { class: "name" }, h("strong", { "data-testid": "name" }, me.name), which.element, h("span", { class: "about" }, `${me.version} · Python ${me.python}`)),
      state,
      spoken,
      buttons,
    ),
    h(
      "div",
      { class: "summary-box", role: "group", tabindex: "0", "aria-label": "Summary" },
      h("dl", { class: "summary", "data-testid": "summary" }, figures),
    ),
  );

  let last = 0;
  let pace = "live";
  let cutSince = 0;
  let said = "";
  function write(kind, words, aloud = words) {
    setAttribute(state, "data-state", kind);
    setText(state, words);
    // Only what changes is said aloud: not each attempt of many.
    if (said !== kind) setText(spoken, kind === "live" && said === "" ? "" : aloud);
    said = kind;
  }

  return {
    processes: which.tell,
    tell(data) {
      last = data.at;
      pace = data.every > SLOW ? `live, every ${duration(data.every)}` : "live";
      if (said === "live") write("live", pace);
      for (const [name, , words, tone] of FIGURES) {
        const value = data.summary[name];
        const place = values.get(name);
        setText(place, words(value));
        setAttribute(place.parentElement, "data-tone", tone?.(value) || null);
      }
    },
    state(kind, more) {
      if (kind === "live") {
        cutSince = 0;
        write("live", pace, "up to date again");
      } else if (kind === "connecting") {
        if (cutSince === 0) write("connecting", "connecting", "");
      } else if (kind === "resting") {
        write("resting", "resting while hidden", "");
      } else if (kind === "refused") {
        const words = more.error.status === 403 ? "no right to look" : `refused: ${more.error.detail}`;
        write("refused", words);
      } else {
        cutSince ||= Date.now() / 1000;
        const since = last > 0 ? `, as of ${clock(last)}` : "";
        const again = `trying again in ${duration(more.seconds)}${since}`;
        if (more.error?.code === "no_answer") write("cut", `process ${me.process} does not answer, ${again}`, `process ${me.process} does not answer`);
        else if (more.error?.code === "stopping") write("stopped", `the agency stops${since}`);
        else if (more.failed > LONG) write("stopped", `stopped or out of reach since ${clock(cutSince)}`);
        else write("cut", `cut off, ${again}`, "cut off, trying again");
      }
    },
  };
}

/** Which of the processes is looked at: a choice, where there are several. */
function processes(me, choose) {
  const select = h("select", { "aria-label": "Process", "data-testid": "process", onchange: () => choose(Number(select.value)) });
  const alone = h("span", { class: "about" }, `process ${me.process} ·`);
  const element = h("span", { class: "processes" });
  let shown = "";
  function tell(there) {
    const now = there.map(({ process }) => process).join();
    if (now === shown) return;
    shown = now;
    fill(select, there.map(({ process }) => h("option", { value: String(process) }, `process ${process}`)));
    select.value = String(me.process);
    if (element.firstChild !== (there.length > 1 ? select : alone)) fill(element, there.length > 1 ? select : alone);
  }
  tell(me.processes);
  return { element, tell };
}

function theme() {
  const words = { auto: "System", light: "Light", dark: "Dark" };
  const options = Object.entries(words).map(([value, label]) => h("option", { value }, label));
  const select = h(
    "select",
    { "aria-label": "Theme", "data-testid": "theme", title: "Theme", onchange: () => choose(select.value) },
    options,
  );
  select.value = document.documentElement.dataset.theme ?? "auto";
  return select;
}

function choose(value) {
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  try {
    localStorage.setItem("callboard.theme", value);
  } catch {
    // It is then chosen for this visit only.
  }
  document.dispatchEvent(new Event("themechange"));
}
