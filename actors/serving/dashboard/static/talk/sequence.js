// Who asked whom, as a drawing and as a table.

import { button, empty, fill, h, svg } from "../dom.js";
import { clock, plural } from "../logic/format.js";
import { HEAD, inWords, layout } from "../logic/sequence.js";
import { line } from "../logic/text.js";
import { pages } from "./pages.js";
import { named } from "./passage.js";

const KINDS = { ask: "asks", answer: "answers", handoff: "hands over", tool: "calls a tool" };
const TIP = 7;

/**
 * @param {(step: number) => void} look shows a step.
 * @returns {{element: HTMLElement, show: (sequence: {lanes: string[], arrows: object[]}) => void}}
 */
export function sequence(look) {
  let lanes = [];
  let drawn = "";
  const body = h("div", null);
  const none = h("div", null, empty("Nobody was asked for anything.", "Handoffs and tools are drawn here in their order."));
  const table = h("details", { class: "as-table" });
  const paged = pages({
    what: "arrows",
    size: 100,
    body,
    draw(arrows, from) {
      const sign = JSON.stringify([lanes, arrows, from]);
      if (sign === drawn) return;
      drawn = sign;
      const plan = layout({ lanes, arrows });
      for (const arrow of plan.arrows) arrow.number += from;
      fill(body, drawing(plan));
      fill(table, h("summary", { "data-testid": "sequence-as-table" }, "The same as a table"), asTable(plan.arrows, look));
    },
  });
  return {
    element: h("div", null, none, paged.element, table),
    show(given) {
      lanes = given.lanes;
      const any = given.arrows.length > 0;
      none.hidden = any;
      table.hidden = !any;
      body.hidden = !any;
      paged.show(given.arrows);
    },
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
  const room = own ? 22 : Math.max(18, Math.floor(Math.abs(end - start) / 7));
  const label = svg(
    "text",
    own
      ? { class: "arrow-label", x: start + 32, y: y + 8 }
      : { class: "arrow-label", x: (start + end) / 2, y: y - 6, "text-anchor": "middle" },
    line(`${arrow.number} ${arrow.label || KINDS[kind] || kind}`, room),
  );
  return svg("g", { class: "arrow", "data-kind": kind, "data-testid": "arrow" }, svg("title", null, line(inWords(arrow), 400)), path, svg("polygon", { class: "arrow-head", points: head }), label);
}

function asTable(arrows, look) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sequence as a table" },
    h(
      "table",
      { class: "list cards" },
      h("caption", { class: "unseen" }, "Who asked whom, in order"),
      h("thead", null, h("tr", null, ["#", "From", "What", "To", "Text", "At", "Step"].map((title) => h("th", { scope: "col" }, title)))),
      h(
        "tbody",
        null,
        arrows.map((arrow) =>
          h(
            "tr",
            null,
            h("td", { "data-label": "#" }, arrow.number),
            h("td", { "data-label": "From" }, named(arrow.from, 40)),
            h("td", { "data-label": "What" }, KINDS[arrow.kind] ?? named(arrow.kind)),
            h("td", { "data-label": "To" }, named(arrow.to, 40)),
            h("td", { "data-label": "Text", class: "wide" }, named(arrow.label, 160)),
            h("td", { "data-label": "At" }, clock(arrow.at)),
            h(
              "td",
              { "data-label": "Step" },
              arrow.step ? button(`Step ${arrow.step}`, "look-at-step", () => look(arrow.step), { class: "button small" }) : "–",
            ),
          ),
        ),
      ),
    ),
  );
}
