// Where everything of a sequence diagram lies; drawing is somebody else's.

export const LANE = 236;
export const ROW = 44;
export const HEAD = 44;
const MARGIN = 88;

/**
 * @param {{lanes: string[], arrows: object[]}} sequence as the server tells it.
 * @param {{from?: number, count?: number}} part which arrows; lanes that none of them touches are left out.
 * @returns {{width: number, height: number, lanes: object[], arrows: object[]}} in pixels.
 */
export function layout(sequence, { from = 0, count = Infinity } = {}) {
  const shown = sequence.arrows.slice(from, from + count);
  const known = new Set(sequence.lanes);
  const touched = new Set();
  for (const arrow of shown) {
    touched.add(arrow.from);
    if (arrow.kind !== "tool" || known.has(arrow.to)) touched.add(arrow.to);
  }
  const names = [...sequence.lanes, ...[...touched].filter((name) => !known.has(name))];
  const lanes = names.filter((name) => touched.has(name)).map((name, place) => ({ name, x: MARGIN + place * LANE }));
  const x = new Map(lanes.map((lane) => [lane.name, lane.x]));
  const arrows = shown.map((arrow, place) => {
    const start = x.get(arrow.from);
    const end = x.has(arrow.to) ? x.get(arrow.to) : start;
    return { ...arrow, number: from + place + 1, y: HEAD + ROW * (place + 0.75), start, end, own: start === end };
  });
  const right = lanes.length ? lanes.at(-1).x : 0;
  return { width: right + MARGIN + 60, height: HEAD + ROW * (arrows.length + 0.5), lanes, arrows };
}

const WORDS = { ask: "asks", answer: "answers", handoff: "hands over to", tool: "calls" };

/** An arrow as a sentence. */
export function inWords(arrow) {
  const deed = WORDS[arrow.kind] ?? arrow.kind;
  return `${arrow.from} ${deed} ${arrow.to}${arrow.label && arrow.label !== arrow.to ? `: ${arrow.label}` : ""}`;
}
