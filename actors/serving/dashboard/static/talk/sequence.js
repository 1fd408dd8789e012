// Who asked whom, as a drawing and as a table.

import { button, empty, fill, h, setAttribute, setText, svg } from "../dom.js";
import { clock, count, plural } from "../logic/format.js";
import { all } from "../logic/known.js";
import { HEAD, inWords, layout } from "../logic/sequence.js";
import { line } from "../logic/text.js";
import { createTable } from "../table.js";
import { pages } from "./pages.js";
import { failure } from "./passage.js";

const KINDS = { ask: "asks", answer: "answers", handoff: "hands over", tool: "calls a tool" };
const TIP = 7;

/**
 * @param {{look: (step: number) => void, older: (before: number) => Promise<{sequence: object, before: number}>}} how
 *   `look` shows a step; `older` asks for the sequence of the steps before a number of them.
 * @returns {{element: HTMLElement, show: (sequence: {lanes: string[], arrows: object[]}, before: number) => void}}
 *   `before`: how many steps are older than what is shown.
 */
export function sequence({ look, older }) {
  let newest = null; // {sequence, before}
  let past = null; // the same, of older steps, where somebody looks at them
  let drawn = "";
  let turn = 0;
  const body = h("div", null);
  const none = h("div", null, empty("Nobody was asked for anything.", "Handoffs and tools are drawn here in their order."));
  const trouble = h("div", null);
  const told = h("span", { class: "muted", role: "status" });
  const back = button("Earlier steps", "sequence-earlier", earlier, { class: "button small" });
  const now = button("Latest steps", "sequence-latest", latest, { class: "button small" });
  const bar = h("div", { class: "pager", role: "group", "aria-label": "Steps of the sequence" }, back, now, told);
  const rows = createTable({
    caption: "Who asked whom, in order",
    id: "sequence-table",
    key: (arrow) => String(arrow.number),
    columns: [
      { name: "number", title: "#", text: (arrow) => arrow.number },
      { name: "from", title: "From", text: (arrow) => line(arrow.from, 40) },
      { name: "kind", title: "What", text: (arrow) => KINDS[arrow.kind] ?? arrow.kind },
      { name: "to", title: "To", text: (arrow) => (arrow.kind === "tool" ? "" : line(arrow.to, 40)) },
      { name: "label", title: "Text", wide: true, text: (arrow) => line(arrow.label, 160) },
      { name: "at", title: "At", text: (arrow) => clock(arrow.at) },
      {
        name: "step",
        title: "Step",
        build: (get) => button("", "look-at-step", () => look(get().step), { class: "button small" }),
        update(element, { step }) {
          element.hidden = !step;
          setText(element, `Step ${step}`);
        },
      },
    ],
  });
  const table = h("details", { class: "as-table" }, h("summary", { "data-testid": "sequence-as-table" }, "The same as a table"), rows.element);
  const paged = pages({ what: "arrows", size: 100, body, draw: drawPage });

  function drawPage(arrows, from) {
    const { lanes } = (past ?? newest).sequence;
    const sign = JSON.stringify([lanes, arrows, from]);
    if (sign === drawn) return;
    drawn = sign;
    const plan = layout({ lanes, arrows });
    for (const arrow of plan.arrows) arrow.number += from;
    fill(body, drawing(plan));
    rows.update(plan.arrows);
  }

  function draw() {
    const { sequence: shown, before } = past ?? newest;
    const left = shown.arrows_left_out ?? 0;
    const any = shown.arrows.length > 0;
    none.hidden = any;
    table.hidden = body.hidden = !any;
    bar.hidden = past === null && before === 0 && left === 0;
    back.disabled = before === 0;
    now.disabled = past === null;
    setText(told, [before > 0 ? `${plural(before, "step")} before these` : "", left > 0 ? `${plural(left, "arrow")} more, too many for this page` : ""].filter(Boolean).join("; "));
    paged.show(all(shown.arrows));
  }

  async function earlier() {
    const mine = ++turn;
    setAttribute(body, "aria-busy", true);
    const came = await older((past ?? newest).before).catch((error) => {
      if (mine === turn) fill(trouble, failure(error, earlier));
    });
    setAttribute(body, "aria-busy", null);
    if (came === undefined || mine !== turn) return;
    past = came;
    fill(trouble);
    draw();
    if (back.disabled) now.focus();
  }

  function latest() {
    turn++;
    past = null;
    draw();
    back.focus();
  }

  return {
    element: h("div", null, bar, trouble, none, paged.element, table),
    show(sequence, before, { again = false } = {}) {
      newest = { sequence, before };
      if (!again) {
        past = null;
        turn++;
      }
      if (past === null) draw();
    },
    count: () => `${count(newest.sequence.arrows.length)}${newest.before > 0 ? "+" : ""}`,
  };
}

function drawing({ width, height, lanes, arrows }) {
  const words = `Sequence diagram: ${plural(arrows.length, "arrow")} between ${lanes.map((lane) => lane.name).join(", ")}. The table below tells the same.`;
  const heads = svg(
    "svg",
    { class: "sequence-heads", width, height: HEAD, "aria-hidden": true },
    lanes.map(({ name, x }) => [
      svg("rect", { class: "lane-head", x: x - 74, y: 6, width: 148, height: 28, rx: 5 }),
      svg("text", { class: "lane-name", x, y: 24, "text-anchor": "middle" }, line(name, 19)),
    ]),
  );
  const picture = svg(
    "svg",
    { class: "sequence", width, height: height - HEAD, viewBox: `0 ${HEAD} ${width} ${height - HEAD}`, role: "img", "aria-label": line(words, 400) },
    lanes.map(({ x }) => svg("line", { class: "lane", x1: x, x2: x, y1: HEAD, y2: height })),
    arrows.map(drawArrow),
  );
  return h(
    "div",
    { class: "sequence-box", tabindex: "0", role: "region", "aria-label": "Sequence diagram", "data-testid": "sequence" },
    heads,
    picture,
  );
}

function drawArrow(arrow) {
  const { y, start, end, own, kind } = arrow;
  const towards = own ? -1 : Math.sign(end - start);
  const tip = own ? y + 12 : y;
  const head = `${end},${tip} ${end - towards * TIP},${tip - 4} ${end - towards * TIP},${tip + 4}`;
  const path = own
    ? svg("path", { class: "arrow-line", d: `M${start} ${y - 4}h26v16H${start + TIP}` })
    : svg("line", { class: "arrow-line", x1: start, x2: end - towards * TIP, y1: y, y2: y });
  const room = own ? 24 : Math.max(18, Math.floor(Math.abs(end - start) / 7));
  const label = svg(
    "text",
    own
      ? { class: "arrow-label", x: start + 32, y: y + 8 }
      : { class: "arrow-label", x: (start + end) / 2, y: y - 6, "text-anchor": "middle" },
    line(`${arrow.number} ${arrow.label || KINDS[kind] || kind}`, room),
  );
  return svg(
    "g",
    { class: "arrow", "data-kind": kind, "data-testid": "arrow" },
    svg("title", null, line(inWords(arrow), 400)),
    path,
    svg("polygon", { class: "arrow-head", points: head }),
    label,
  );
}
