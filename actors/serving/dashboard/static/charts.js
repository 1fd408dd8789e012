// Lines over time, drawn by uPlot in the theme's colours, with the same in words for those who do not see them.

import uPlot from "./vendor/uplot/uPlot.esm.js";

import { fill, h, setText } from "./dom.js";
import { clock } from "./logic/format.js";

let styled = false;

function style() {
  if (styled) return;
  styled = true;
  document.head.append(h("link", { rel: "stylesheet", href: new URL("./vendor/uplot/uPlot.min.css", import.meta.url).href }));
}

/**
 * A chart of one or more lines over the same times.
 *
 * @param {object} how
 * @param {string} how.title
 * @param {string} how.id its data-testid.
 * @param {string} how.colour the name of a custom property.
 * @param {(value: number) => string} how.words writes a value.
 * @param {(value: number) => string} [how.ticked] writes one beside the axis, where that is done in another way.
 * @param {number} [how.height] pixels.
 * @param {string} [how.together] charts of the same name show the same moment under the pointer.
 * @returns {{element: HTMLElement, update: (times: number[], values: number[]) => void, close: () => void}}
 */
export function createChart({ title, id, colour, words, ticked, height = 150, together }) {
  style();
  const now = h("strong", { class: "chart-now" });
  const room = h("div", { class: "chart-room", "aria-hidden": "true" });
  const text = h("p", { class: "unseen" });
  const element = h(
    "figure",
    { class: "panel chart", "data-testid": id },
    h("figcaption", null, h("span", { class: "chart-title" }, title), now),
    room,
    text,
  );
  let plot = null;
  let data = [[], []];
  let told = 0;

  function make() {
    plot?.destroy();
    const probe = h("span", { hidden: true });
    element.append(probe);
    const read = (name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const [line, grid, muted] = [read(colour), read("--line"), read("--muted")];
    probe.remove();
    const font = `11px ${getComputedStyle(element).fontFamily}`;
    const axis = { stroke: muted, font, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    plot = new uPlot(
      {
        width: Math.max(120, room.clientWidth),
        height,
        padding: [8, 26, 0, 0],
        cursor: { y: false, sync: together ? { key: together } : undefined, drag: { x: false, y: false } },
        legend: { show: false },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
        axes: [
          { ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map((at) => clock(at, at).slice(0, 8)) },
          { ...axis, size: 58, space: 34, values: (_, ticks) => ticks.map(ticked ?? words) },
        ],
        series: [{}, { stroke: line, width: 1.5, fill: faint(line), points: { show: false } }],
        hooks: { setCursor: [point] },
      },
      data,
      room,
    );
  }

  function point(chart) {
    const at = chart.cursor.idx;
    if (at === null || at === undefined || data[1][at] === null || data[1][at] === undefined) tell();
    else setText(now, `${words(data[1][at])} at ${clock(data[0][at])}`);
  }

  function tell() {
    const last = data[1].at(-1);
    setText(now, last === undefined || last === null ? "–" : words(last));
  }

  const resized = new ResizeObserver(() => {
    if (room.clientWidth === 0 || data[0].length === 0) return;
    if (plot === null) make();
    else if (Math.abs(plot.width - room.clientWidth) > 1) plot.setSize({ width: Math.max(120, room.clientWidth), height });
  });
  resized.observe(room);
  const themed = () => {
    if (plot !== null) make();
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", themed);
  document.addEventListener("themechange", themed);

  return {
    element,
    update(times, values) {
      data = [times, values];
      if (plot !== null) plot.setData(data);
      else if (times.length > 0 && room.clientWidth > 0) make();
      if (plot === null || plot.cursor.idx === null || plot.cursor.idx === undefined) tell();
      if (performance.now() - told > 5000 && values.length > 0) {
        told = performance.now();
        const known = values.filter((value) => value !== null);
        if (known.length > 0) {
          const least = known.reduce((one, other) => Math.min(one, other));
          const most = known.reduce((one, other) => Math.max(one, other));
          setText(text, `${title} since ${clock(times[0])}: now ${words(known.at(-1))}, between ${words(least)} and ${words(most)}.`);
        }
      }
    },
    close() {
      resized.disconnect();
      dark.removeEventListener("change", themed);
      document.removeEventListener("themechange", themed);
      plot?.destroy();
      fill(room);
    },
  };
}

/** A computed colour, nearly transparent. */
function faint(colour) {
  const found = /^rgb\(([^)]+)\)$/.exec(colour);
  return found ? `rgba(${found[1]}, 0.12)` : "transparent";
}
