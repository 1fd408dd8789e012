// One conversation: what was said, its steps, who asked whom, as it is and as it was at each event of its journal.

import { confirm } from "../dialog.js";
import { badge, button, empty, fill, h, setText } from "../dom.js";
import { count, dollars, plural } from "../logic/format.js";
import { Events, Latest } from "../logic/journal.js";
import { Known, byStep } from "../logic/known.js";
import { line, path, whose } from "../logic/text.js";
import { messages } from "../talk/messages.js";
import { failure, named } from "../talk/passage.js";
import { replayed } from "../talk/replayed.js";
import { scrubber } from "../talk/scrubber.js";
import { sequence } from "../talk/sequence.js";
import { steps } from "../talk/steps.js";
import { tabs } from "../talk/tabs.js";

const AGAIN = 1000; // milliseconds between two looks at one that is at work

/** The view of one of them. */
export function conversation(agent, id) {
  return {
    name: "conversation",
    title: line(id, 80),
    live: "runs",
    open: (root, context) => open(root, context, agent, id),
  };
}

function open(root, { me, api, go, act, announce }, agent, id) {
  const back = h("a", { href: "#/conversations", class: "back", "data-testid": "back-to-conversations" }, "‹ All conversations");
  if (!me.may.read) {
    fill(root, back, empty("This key looks at figures only.", "What is said in conversations is read with the scope admin."));
    return {};
  }
  const at = `conversations/${path(agent, id)}`;
  const latest = new Latest();
  let now = null; // the newest version
  let shown = null; // the one looked at
  let version = null; // which that is; null: the newest, followed
  let seen = ""; // what the live view said last of its run
  let timer = 0;
  let closed = false;

  let listed = { version: undefined, messages: null, steps: null }; // what is known of the version looked at

  const facts = h("dl", { class: "particulars" });
  const was = h("p", { class: "past", role: "status" });
  const broken = h("p", { class: "broken", hidden: true });
  const trouble = h("div", null);
  const result = h("div", null);
  const said = messages(async (end) => {
    const came = await api.get(`${source()}?messages_before=${end}`);
    return { before: came.messages_before ?? 0, items: came.messages };
  });
  const made = steps({
    fork: me.may.act ? fork : null,
    async older(end) {
      const came = await api.get(`${source()}?steps_before=${end}`);
      return { before: came.steps_before ?? 0, items: byStep(came.steps) };
    },
  });
  const drawn = sequence({
    look: lookAt,
    async older(before) {
      const came = await api.get(`${source()}?steps_before=${before}`);
      return { sequence: came.sequence, before: came.steps_before ?? 0 };
    },
  });
  const parts = tabs("Parts of the conversation", [
    { id: "messages", title: "Messages", panel: said.element },
    { id: "steps", title: "Steps", panel: made.element },
    { id: "sequence", title: "Sequence", panel: drawn.element },
  ]);
  const journal = scrubber(
    new Events(async (after, limit) => (await api.get(`${at}/journal?after=${after}&limit=${limit}`)).events),
    look,
  );
  const forkIt = button("Fork …", "fork", () => fork(lastStep()));
  const replayIt = button("Replay …", "replay", replay);
  const whole = h(
    "div",
    { class: "conversation", hidden: true },
    h("div", { class: "conversation-head" }, facts, me.may.act ? h("div", { class: "toolbar" }, forkIt, replayIt) : null),
    journal.element,
    was,
    broken,
    result,
    parts.element,
  );
  fill(root, back, trouble, whole);

  function draw(conversation) {
    shown = conversation;
    whole.hidden = false;
    const failed = conversation.running ? "" : conversation.runs?.at(-1)?.error;
    const status = conversation.running ? badge("running", "info") : failed ? badge("failed", "bad") : badge("idle");
    const words = [
      ["Agent", named(conversation.agent, 60)],
      conversation.user || conversation.tenant ? ["User", h("bdi", null, whose(conversation.user, conversation.tenant, 60))] : null,
      ["State", status],
      ["Tokens", count(conversation.tokens)],
      ["Cost", dollars(conversation.cost)],
      ["Events", count(conversation.version)],
      conversation.owner
        ? ["Handed over to", h("a", { href: `#/conversations/${path(conversation.owner.agent, conversation.owner.conversation)}` }, named(conversation.owner.agent, 60))]
        : null,
    ];
    fill(facts, words.filter(Boolean).map(([title, value]) => h("div", null, h("dt", null, title), h("dd", null, value))));
    const again = listed.version === version;
    if (!again) listed = { version, messages: new Known(), steps: new Known() };
    const before = conversation.steps_before ?? 0;
    said.show(listed.messages.newest(conversation.messages_before ?? 0, conversation.messages));
    made.show(listed.steps.newest(before, byStep(conversation.steps)));
    drawn.show(conversation.sequence, before, { again });
    parts.tell("messages", count(listed.messages.total));
    parts.tell("steps", count(listed.steps.total));
    parts.tell("sequence", drawn.count());
    forkIt.disabled = lastStep() === 0;
    replayIt.disabled = now !== null && now.version === 0;
    broken.hidden = !failed;
    setText(broken, failed ? `The last run failed: ${line(failed, 400)}` : "");
    was.hidden = version === null;
    setText(was, version === null ? "" : `This is how it was at event ${count(version)} of ${count(now.version)}.`);
  }

  function lastStep() {
    return shown.steps.reduce((most, step) => Math.max(most, step.kind === "model" && !step.depth ? step.step : 0), 0);
  }

  function lookAt(step) {
    parts.open("steps");
    made.reveal(step);
  }

  /** Where what is looked at is read. */
  function source() {
    return version === null ? at : `${at}/at/${version}`;
  }

  async function load() {
    const asked = version === null ? latest.of(api.get(at)) : api.get(at);
    const came = await asked.catch((error) => {
      if (!closed) fill(trouble, failure(error, error.status === 404 ? null : load));
    });
    if (came === undefined || closed) return;
    now = came;
    journal.grown(now.version);
    fill(trouble);
    if (version === null) draw(now);
  }

  async function look(wanted) {
    version = wanted;
    if (wanted === null) {
      await load();
      return;
    }
    whole.setAttribute("aria-busy", "true");
    const came = await latest.of(api.get(source())).catch((error) => {
      if (!closed) fill(trouble, failure(error, () => look(wanted)));
    });
    whole.removeAttribute("aria-busy");
    if (came === undefined || closed) return;
    fill(trouble);
    draw(came);
  }

  async function fork(step) {
    const values = await act(
      "Fork",
      line(id, 60),
      async ({ at: from, to }) => api.post(`${at}/fork`, { at: from, ...(to.trim() ? { to: to.trim() } : {}) }),
      {
        text: "A new conversation begins with what was said up to this step. This one stays as it is.",
        fields: [
          { name: "at", label: "Behind step", type: "number", value: step, min: 1, step: 1, required: true },
          { name: "to", label: "Name of the new conversation", hint: "Left empty, it is given one." },
        ],
        done: `Forked ${line(id, 60)}`,
      },
    );
    if (values?.conversation) go(`#/conversations/${path(values.agent, values.conversation)}`);
  }

  async function replay() {
    const values = await confirm({
      title: `Replay ${line(id, 60)}`,
      text:
        "Every recorded step is gone through with the agents as they are now, and compared. No model is asked and no tool " +
        "runs; hooks and instructions are called for real.",
      confirm: "Replay",
      submit: () => api.post(`${at}/replay`),
    });
    if (values === null || closed) return;
    const { same, differences } = values.result;
    announce(same ? "Replayed: nothing is different" : `Replayed: ${plural(differences.length, "difference")}`);
    fill(result, replayed(values.result, { close: () => fill(result), look: lookAt }));
    result.querySelector("h2").focus();
  }

  load();
  return {
    update({ runs }) {
      const mine = runs.filter((run) => run.agent === agent && run.conversation === id);
      const sign = JSON.stringify(mine.map((run) => [run.run, run.status, run.doing, run.calls, run.steps, run.output_tokens]));
      if (sign === seen) return;
      const first = seen === "";
      seen = sign;
      if (first || timer) return;
      timer = setTimeout(() => {
        timer = 0;
        load();
      }, AGAIN);
    },
    close() {
      closed = true;
      clearTimeout(timer);
      latest.forget();
      journal.close();
    },
  };
}
