// A conversation's journal, gone through event by event.

import { badge, button, fill, h, setAttribute, setText } from "../dom.js";
import { clock, count } from "../logic/format.js";
import { Latest, inWords } from "../logic/journal.js";
import { failure, named, passage } from "./passage.js";

const REST = 120; // milliseconds without a move after which the conversation is asked for

/**
 * @param {import("../logic/journal.js").Events} events
 * @param {(version: ?number) => void} moved told which version is looked at, a moment after the last move; null: the
 *   newest one, which is followed.
 * @returns {{element: HTMLElement, grown: (version: number) => void, close: () => void}}
 */
export function scrubber(events, moved) {
  let newest = 0;
  let position = 0;
  let timer = 0;
  const latest = new Latest();

  const range = h("input", {
    type: "range", class: "scrubber-range", min: 1, max: 1, step: 1, value: 1,
    "aria-label": "Event of the journal", "data-testid": "scrubber", oninput: () => to(range.valueAsNumber),
  });
  const number = h("input", {
    type: "number", class: "scrubber-number", min: 1, max: 1, step: 1, value: 1,
    "aria-label": "Number of the event", "data-testid": "scrubber-number",
    onchange: () => to(Number.isFinite(number.valueAsNumber) ? number.valueAsNumber : position),
  });
  const of = h("span", { class: "muted" });
  const back = button("‹", "scrubber-back", () => to(position - 1), { "aria-label": "Event before", class: "button small" });
  const on = button("›", "scrubber-on", () => to(position + 1), { "aria-label": "Next event", class: "button small" });
  const now = button("Now", "scrubber-now", () => to(newest), { class: "button small" });
  const told = h("div", { class: "scrubber-event", "data-testid": "scrubber-event" });
  const element = h(
    "section",
    { class: "panel scrubber", "aria-label": "Journal" },
    h("div", { class: "scrubber-bar" }, h("h2", null, "Journal"), h("div", { class: "scrubber-slide" }, back, range, on), number, of, now),
    told,
  );

  function to(wanted) {
    const place = Math.min(newest, Math.max(1, Math.round(wanted)));
    if (place === position) {
      number.value = place;
      return;
    }
    position = place;
    draw();
    clearTimeout(timer);
    timer = setTimeout(() => moved(position === newest ? null : position), REST);
  }

  async function draw() {
    for (const input of [range, number]) {
      input.max = newest;
      input.value = position;
    }
    setText(of, `of ${count(newest)}`);
    back.disabled = position <= 1;
    on.disabled = now.disabled = position >= newest;
    if (document.activeElement?.disabled && element.contains(document.activeElement)) range.focus();
    element.dataset.past = String(position < newest);
    range.setAttribute("aria-valuetext", `event ${position} of ${newest}`);
    try {
      const event = await latest.of(events.at(position));
      if (event !== undefined) describe(event);
    } catch (error) {
      fill(told, failure(error, draw));
    }
  }

  function describe(event) {
    if (event === null) {
      fill(told, h("p", { class: "muted" }, `Event ${position} is not kept any more.`));
      return;
    }
    const open = told.querySelector("details")?.open ?? false;
    const words = inWords(event.type);
    setAttribute(range, "aria-valuetext", `event ${position} of ${newest}: ${words}, ${clock(event.at)}`);
    const data = h(
      "details",
      { open },
      h(
        "summary",
        { "data-testid": "scrubber-data" },
        h("strong", null, words), " ", badge(named(event.type, 40)), " ", h("span", { class: "muted" }, clock(event.at)),
      ),
    );
    const show = () => {
      if (data.open && data.childElementCount === 1) data.append(passage(event.data, { code: true, left: event.cut ?? 0, label: "event" }));
    };
    data.addEventListener("toggle", show);
    show();
    fill(told, data);
  }

  return {
    element,
    /** The journal has so many events now. */
    grown(version) {
      if (version === newest) return;
      const following = position === newest;
      if (newest > 0) events.grown(version);
      newest = version;
      if (following || position > newest) position = newest;
      element.hidden = newest < 1;
      if (newest > 0) draw();
    },
    close() {
      clearTimeout(timer);
      latest.forget();
    },
  };
}
