// Where the actors are drawn on their map: levels from left to right, those below one beside it. No DOM: tested with node.

/** The smallest part of the map that can be zoomed to. */
export const SMALLEST = 1e-6;

/** A part of the map, `[from, to]` within 0 to 1, of a size that makes sense. */
export function clamp([from, to]) {
  const size = Math.min(1, Math.max(SMALLEST, to - from));
  const begin = Math.min(1 - size, Math.max(0, from));
  return [begin, begin + size];
}

/** The part that one zooms to: `factor` times as large, about `centre`, which stays where it is in sight. */
export function zoomed([from, to], factor, centre) {
  return clamp([centre - (centre - from) * factor, centre + (to - centre) * factor]);
}

/**
 * What to draw of a partition, in a room of some pixels.
 *
 * @param {object} root of d3-hierarchy's partition, laid out over 0 to 1; each with `x0`, `x1`, `depth`, `children`
 *   and the actor as `data`.
 * @param {[number, number]} part what of it is in sight.
 * @param {number} height of the room.
 * @param {number} levels how many there are.
 * @param {(actor: object) => number} rank how much an actor is one to look at, from 0.
 * @returns {{boxes: {place: object, top: number, height: number}[], dense: Uint8Array[]}} what is at least two pixels
 *   high; and of all else, for each level and line of pixels, one more than the highest rank (0: nothing is there), so
 *   that one actor among thousands is still to be seen.
 */
export function layout(root, [from, to], height, levels, rank) {
  const scale = height / (to - from);
  const boxes = [];
  const dense = Array.from({ length: levels }, () => new Uint8Array(Math.ceil(height)));
  const stack = [root];
  while (stack.length > 0) {
    const place = stack.pop();
    if (place.x1 <= from || place.x0 >= to) continue;
    const top = (place.x0 - from) * scale;
    const bottom = (place.x1 - from) * scale;
    if (place.data !== null) {
      if (bottom - top >= 2) {
        boxes.push({ place, top, height: bottom - top });
      } else {
        const line = Math.max(0, Math.min(dense[0].length - 1, Math.floor(top)));
        const level = dense[place.depth - 1];
        level[line] = Math.max(level[line], 1 + rank(place.data));
      }
    }
    if (place.children) for (const child of place.children) stack.push(child);
  }
  return { boxes, dense };
}

/** What is drawn at a height within the room on a level; undefined where nothing is. */
export function find(root, [from, to], height, level, y) {
  const x = from + (y / height) * (to - from);
  let place = root;
  while (place && place.depth < level) place = place.children?.find((child) => child.x0 <= x && x < child.x1);
  return place;
}
