// One decision: what a call would do, its arguments, and yes or no.

import { confirm } from "../dialog.js";
import { badge, button, empty, fill, h, setText } from "../dom.js";
import { clock, duration } from "../logic/format.js";
import { line, path, whose } from "../logic/text.js";
import { call } from "../talk/call.js";
import { limits } from "../talk/limits.js";
import { failure, named, passage } from "../talk/passage.js";

/** Those known to wait no more, by their ids, as long as what is read is older and still has them. */
export const past = new Set();

const AGAIN = 5_000; // milliseconds until it is asked again whether one waits of which the readings say nothing

/** The view of one of them. */
export function approval(id) {
  return {
    name: "approval",
    title: "Approval",
    live: "approvals",
    open: (root, context) => open(root, context, id),
  };
}

function open(root, { me, api, go, announce }, id) {
  const back = h("a", { href: "#/approvals", class: "back", "data-testid": "back-to-approvals" }, "‹ All that waits");
  const body = h("div", null, h("p", { class: "empty" }, "Looking …"));
  fill(root, back, body);
  if (!me.may.read) {
    fill(body, empty("This key looks at figures only.", "What a call would do is read with the scope admin."));
    return {};
  }
  const at = `approvals/${path(id)}`;
  let asked = null;
  let answered = false;
  let closed = false;
  const waits = h("dd", null, "–");
  const gone = h("p", { class: "past", role: "status", hidden: true, "data-testid": "decided" });
  let over = false; // whether it is known to wait no more
  let listed = true; // whether the latest reading has it: those are of this process, and may be older
  let timer = 0;
  const wrong = h("div", null);
  let decide = []; // the controls
  let form = null; // of arguments, or of limits

  async function load() {
    const came = await api.get(at).catch((error) => {
      if (closed) return;
      if (isOver(error)) fill(body, h("div", { "data-testid": "decided" }, empty("This does not wait any more.", why(error))));
      else fill(body, failure(error, load));
    });
    if (came === undefined || closed) return;
    asked = came;
    draw();
    if (came.here === false) missed(came);
  }

  /** No reading has it, but it waits. */
  function missed({ here }) {
    listed = false;
    if (here === false) setText(waits, "in another process");
    if (!closed && !over) timer = setTimeout(check, AGAIN);
  }

  /** Asks whether it still waits. */
  async function check() {
    timer = 0;
    if (closed || over || answered || listed) return;
    if (document.hidden) {
      timer = setTimeout(check, AGAIN);
      return;
    }
    await api.get(at).then(missed, (error) => (isOver(error) ? end(error) : missed({})));
  }

  function draw() {
    const forLimits = !asked.tool;
    const may = me.may.act && asked.may_decide !== false;
    const title = document.getElementById("title");
    if (title) fill(title, forLimits ? "More for a run of " : [named(asked.tool, 60), " of "], named(asked.agent, 40));
    const approve = button("Approve", "approve", yes, { class: "button primary" });
    const deny = button("Deny …", "deny", no, { class: "button" });
    decide = may ? [approve, deny] : [];
    form = forLimits
      ? limits(asked.limits)
      : call(asked, {
          may,
          preview: (text) => api.post(`${at}/preview`, { arguments: text }),
          told: (changed) => setText(approve, changed ? "Approve with these arguments" : "Approve"),
        });
    fill(
      body,
      gone,
      h(
        "dl",
        { class: "particulars" },
        fact("Agent", named(asked.agent, 60)),
        fact("Conversation", h("a", { href: `#/conversations/${path(asked.agent, asked.conversation)}`, "data-testid": "approval-conversation" }, named(asked.conversation, 60))),
        asked.user || asked.tenant ? fact("Asked by", h("bdi", null, whose(asked.user, asked.tenant, 60))) : null,
        fact("Run", h("span", { class: "mono" }, named(asked.run, 40))),
        h("div", null, h("dt", null, "Waits for"), waits),
        asked.expires_at ? fact("Counts as denied from", clock(asked.expires_at)) : null,
      ),
      asked.why ? h("div", { class: "why" }, h("h2", null, "Why it is asked"), passage(asked.why, { label: "reason" })) : null,
      form.changes ?? null,
      h("section", { class: "panel decide", "aria-label": "Decision" },
        h("div", { class: "panel-body" },
          form.element,
          wrong,
          may ? h("div", { class: "toolbar decide-buttons" }, approve, deny, form.buttons ?? null)
          : h("p", null, badge("for somebody else", "quiet"), " This key may not decide it."),
        ),
      ),
    );
  }

  /** Whether an error says that it waits no more; then it is in no list any more, either. */
  function isOver(error) {
    const said = error.code === "already_decided" || error.code === "unknown_approval";
    if (said) past.add(id);
    return said;
  }

  function why(error) {
    return error.code === "already_decided" ? `${line(error.detail, 200)}.` : "It was decided elsewhere, or its time is over.";
  }

  /** Says that it waits no more, and why. */
  function end(error) {
    over = true;
    setText(gone, `It does not wait any more. ${why(error)}`);
    gone.hidden = false;
    for (const one of decide) one.disabled = true;
  }

  function fact(title, value) {
    return h("div", null, h("dt", null, title), h("dd", null, value));
  }

  function what() {
    return asked.tool ? line(asked.tool, 60) : `the run of ${line(asked.agent, 40)}`;
  }

  async function yes() {
    fill(wrong);
    const given = form.value();
    if (given === null) {
      form.focus();
      return;
    }
    const changed = asked.tool ? form.changed() : true;
    const values = await confirm({
      title: asked.tool ? `Approve ${what()}` : `Raise the limits of ${what()}`,
      text: !asked.tool
        ? "The run goes on with what you have given it."
        : changed ? "It runs with the arguments as you have changed them." : "It runs with the arguments that are shown.",
      confirm: "Approve",
    });
    if (values === null) return;
    const sent = !asked.tool ? { limits: given } : changed ? { arguments: given } : {};
    await answer("approve", sent, `Approved ${what()}`);
  }

  async function no() {
    fill(wrong);
    const values = await confirm({
      title: `Deny ${what()}`,
      fields: [{ name: "reason", label: "Reason", type: "textarea", rows: 3, required: true, hint: "The model is told this, and may try something else." }],
      confirm: "Deny",
      danger: true,
    });
    if (values !== null) await answer("deny", { reason: values.reason }, `Denied ${what()}`);
  }

  async function answer(verb, sent, words) {
    for (const one of decide) one.disabled = true;
    try {
      await api.post(`${at}/${verb}`, sent);
      answered = true;
      past.add(id);
      announce(words);
      if (!closed) go("#/approvals");
    } catch (error) {
      if (closed) {
        announce(error.detail ?? error.message, "bad");
        return;
      }
      if (isOver(error)) {
        end(error);
        back.focus();
        return;
      }
      for (const one of decide) one.disabled = false;
      const placed = verb === "approve" && form.refuse(error);
      if (!placed) {
        fill(wrong, failure(error, null));
        decide[0]?.focus();
      }
    }
  }

  load();
  return {
    update({ approvals }) {
      const mine = approvals.find((one) => one.approval === id);
      if (mine) setText(waits, duration(mine.seconds));
      const lost = asked !== null && listed && mine === undefined;
      listed = mine !== undefined || asked === null;
      if (lost) check();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
