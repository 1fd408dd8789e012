// The page's frame: who looks, which view is open, its live stream, and what was done.

import { createApi } from "./api.js";
import { confirm } from "./dialog.js";
import { empty, fill, h, onFrame, setAttribute, setText } from "./dom.js";
import { createHeader } from "./header.js";
import { decoded } from "./logic/text.js";

const VIEWS = [
  ["actors", "Actors"],
  ["runs", "Runs"],
  ["providers", "Providers"],
  ["money", "Money"],
  ["approvals", "Approvals"],
  ["conversations", "Conversations"],
  ["letters", "Failures"],
  ["audit", "Audit log"],
];
/** Views of which the nav tells a number, where that is in the summary, and what it means. */
const TOLD = { runs: ["stuck", "stuck"], approvals: ["waiting", "waiting"], letters: ["dead_letters", "dead letters"] };
const KEY = "callboard.key";
const NO_HEADER = /[^\t\x20-\x7e\x80-\xff]/; // a browser sends no key that has any of these
const EVERY = 1; // seconds
const AGAIN = 3000; // milliseconds after which a server that did not answer is asked again who it is
const NO_RIGHT = "This key gives no right to look: it needs the scope metrics or admin, and is of no tenant.";
const OTHERS = 30_000; // milliseconds after which it is asked which processes there are: workers are replaced
const MOST_WAITING = 50; // changes; more are not kept for a frame that does not come, as in a window that is covered

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const outcome = document.getElementById("outcome");

let me = null;
let api = null;
let header = null;
let open = null; // {name, view, close}
let turn = 0;
let session = 0;
let asked = 0; // when it was last asked which processes there are
let chosen = null; // the process that is looked at

/** The key, taken out of the address, where it would be left in the history. */
function takeKey() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(KEY, decoded(found[1]));
    history.replaceState(null, "", `${location.pathname}${location.search}`);
  }
  return sessionStorage.getItem(KEY) ?? "";
}

/** Says what came of something, to those who see and to those who hear. `tone`: ok or bad. */
export function announce(text, tone = "ok") {
  const close = h(
    "button",
    { type: "button", class: "outcome-close", "aria-label": "Dismiss", "data-testid": "outcome-close" },
    "×",
  );
  const note = h("div", { class: `note ${tone}` }, h("span", null, text), close);
  close.addEventListener("click", () => note.remove());
  outcome.append(note);
  while (outcome.childElementCount > 3) outcome.firstElementChild.remove();
  if (tone === "ok") setTimeout(() => note.remove(), 8000);
}

/**
 * Asks, does, and says what came of it.
 *
 * @param {string} action what is done, as on the button: "Kill".
 * @param {string} target to what.
 * @param {(values: object) => Promise<any>} call does it, given the values of the dialog's fields.
 * @param {object} [more] `text`, `fields` (instead of a reason), `danger`, `done`: what is announced.
 * @returns {Promise<any>} what `call` has returned, or null where nobody wanted it.
 */
async function act(action, target, call, more = {}) {
  const fields = more.fields ?? [
    { name: "reason", label: "Reason", required: true, hint: "Written to the audit log with your name." },
  ];
  const values = await confirm({
    title: `${action} ${target}`,
    text: more.text,
    fields,
    confirm: action,
    danger: more.danger ?? false,
    submit: call,
  });
  if (values === null) return null;
  announce(more.done ?? `Done: ${action.toLowerCase()} ${target}`);
  return values.result ?? true;
}

function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("?");
  const path = parts[0].split("/").map(decoded);
  return { path, name: path[0] || "actors", query: new URLSearchParams(parts[1] ?? "") };
}

function go(hash) {
  if (location.hash === hash) show();
  else location.hash = hash;
}

function drawNav() {
  fill(
    nav,
    h(
      "ul",
      null,
      VIEWS.map(([name, title]) =>
        h(
          "li",
          null,
          h(
            "a",
            { href: `#/${name}`, "data-testid": `nav-${name}`, "data-view": name },
            h("span", null, title),
            name in TOLD ? counter(...TOLD[name]) : null,
          ),
        ),
      ),
    ),
  );
}

function counter(told, words) {
  return h("span", { class: "nav-count", "data-told": told, hidden: true }, h("span"), h("span", { class: "unseen" }, words));
}

function tellNav(summary) {
  for (const place of nav.querySelectorAll("[data-told]")) {
    const number = summary[place.dataset.told] ?? 0;
    place.hidden = number === 0;
    setText(place.firstElementChild, number > 999 ? "999+" : number);
  }
}

/** Asks again which processes there are. */
async function others() {
  const mine = session;
  asked = performance.now();
  const told = await api.get("me").catch(() => null); // whoever is cut off is told so by the stream
  if (told !== null && mine === session) header.processes(told.processes);
}

/** A view's module, asked for again as long as it is wanted: its server may be away for a moment. */
async function moduleOf(name, wanted) {
  for (let again = 0; ; again += 1) {
    try {
      return (await import(`./views/${name}.js${again ? `?again=${again}` : ""}`)).default; // a browser may keep a failure
    } catch (error) {
      if (!wanted()) return null;
      console.warn(error);
      await new Promise((go) => setTimeout(go, AGAIN));
    }
  }
}

async function show() {
  const mine = ++turn;
  const to = route();
  open?.close();
  open = null;
  if (!VIEWS.some(([name]) => name === to.name)) {
    go("#/actors");
    return;
  }
  for (const link of nav.querySelectorAll("a")) {
    setAttribute(link, "aria-current", link.dataset.view === to.name ? "page" : null);
  }
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const known = await moduleOf(to.name, () => mine === turn);
  if (mine !== turn) return;
  const stopped = h("p", { class: "warning bad", hidden: true, "data-testid": "stopped" }, "The agency of this process has stopped: what is shown is as it was, and nothing more is read.");
  const view = known.at?.(to) ?? known; // what is deeper than a view's own page is one of its own
  document.title = `${view.title} · ${me.name} · Callboard`;
  const root = h("div", { class: `view view-${view.name}`, "data-testid": `view-${view.name}` });
  fill(main, h("h1", { id: "title" }, view.title), stopped, root);
  main.scrollTop = 0;
  const shown = view.open(root, { me, api, route: to, go, act, announce });
  let waiting = [];
  let summary = null;
  const tell = () => {
    if (summary !== null) {
      header.tell(summary);
      tellNav(summary.summary);
    }
    const events = waiting;
    waiting = [];
    for (const [event, data] of events) shown.update?.(data.view, { event, at: data.at, summary: data.summary });
  };
  const draw = onFrame(tell);
  const stop = api.live(view.live, EVERY, {
    data(event, data) {
      summary = data;
      if (view.live !== null && data.view !== undefined && data.view !== null) {
        if (event === "snapshot") waiting = [];
        waiting.push([event, data]);
      }
      if (waiting.length < MOST_WAITING) draw();
      else tell();
      if (performance.now() - asked > OTHERS) others();
    },
    state(state, more) {
      header.state(state, more);
      if (state === "live" || state === "cut") stopped.hidden = more.error?.code !== "stopping";
      setAttribute(root, "aria-busy", state === "connecting" && summary === null);
      if (state === "refused" && more.error.status === 401) signIn("The key is no longer good.");
    },
  });
  open = {
    name: view.name,
    close() {
      stop();
      draw.cancel();
      shown.close?.();
    },
  };
}

function signIn(why = "") {
  turn += 1;
  session = 0;
  chosen = null;
  open?.close();
  open = null;
  sessionStorage.removeItem(KEY);
  document.body.dataset.session = "none";
  document.title = "Callboard";
  fill(nav);
  const key = h("input", {
    id: "key",
    type: "password",
    name: "key",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    "data-testid": "key",
    "aria-describedby": "key-hint",
  });
  const form = h(
    "form",
    { class: "sign-in", onsubmit: enter },
    h("h1", null, "Callboard"),
    why ? h("p", { class: "dialog-failure", role: "alert" }, why) : null,
    h(
      "div",
      { class: "field" },
      h("label", { for: "key" }, "Key"),
      key,
      h(
        "span",
        { class: "hint", id: "key-hint" },
        "One with the scope metrics looks on, one with the scope admin acts too. A server without keys of its own has the " +
          "one of CALLBOARD_DASHBOARD_KEY, or has told one at its terminal when it started. It stays in this tab.",
      ),
    ),
    h("button", { type: "submit", class: "button primary", "data-testid": "sign-in" }, "Look"),
  );
  function enter(event) {
    event.preventDefault();
    sessionStorage.setItem(KEY, key.value.trim());
    start();
  }
  fill(main, form);
  key.focus();
}

function choose(process) {
  chosen = process;
  start();
}

/** Says why nothing is shown; where that is said already, nothing moves. */
function outOfReach(why) {
  const said = main.querySelector("[data-why]");
  if (said?.dataset.why === why) return;
  const again = h("button", { type: "button", class: "button", "data-testid": "again", onclick: start }, "Try again");
  fill(main, h("div", { role: "status", "data-why": why }, empty("There is no answer from the server.", why)), h("p", { class: "centred" }, again));
}

async function start() {
  const key = takeKey();
  if (key === "") {
    signIn();
    return;
  }
  if (NO_HEADER.test(key)) {
    signIn("This key is not known here.");
    return;
  }
  const mine = ++turn;
  api = createApi(key, () => {
    if (mine === session) setTimeout(start, 1000); // another one answers then
    session = 0;
  });
  session = mine;
  try {
    me = await api.get("me");
    if (chosen !== null && me.processes.some((one) => one.process === chosen)) {
      api.choose(chosen);
      me = await api.get("me");
    }
    if (mine !== session) return;
    api.choose(me.process);
    if (chosen !== null && chosen !== me.process) announce(`Process ${chosen} has ended. This is process ${me.process}.`, "bad");
    chosen = me.process;
  } catch (error) {
    if (mine !== session) return;
    if (error.status === 401) signIn("This key is not known here.");
    else if (error.status === 403) signIn(NO_RIGHT);
    else {
      open?.close();
      open = null;
      outOfReach(error.detail ?? error.message);
      setTimeout(() => mine === session && start(), AGAIN);
    }
    return;
  }
  if (!me.may.look) {
    signIn(NO_RIGHT);
    return;
  }
  document.body.dataset.session = "open";
  asked = performance.now();
  header = createHeader(document.getElementById("header"), { me, act, api, leave: () => signIn(), choose });
  drawNav();
  await show();
}

// The address says which view is open: the link there must not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

window.addEventListener("hashchange", () => {
  if (/^#key=/.test(location.hash)) start();
  else if (me !== null && document.body.dataset.session === "open") {
    show().then(() => main.focus({ preventScroll: true }));
  }
});

start();
