// Orders and points of rows. No DOM here: tested with node.

/** Compares by a value: numbers by size, texts by their letters; equal ones stay as they are. */
export function compare(value, descending) {
  const sign = descending ? -1 : 1;
  return (one, other) => {
    const left = value(one);
    const right = value(other);
    if (typeof left === "number" && typeof right === "number") {
      return sign * ((Number.isNaN(left) ? -Infinity : left) - (Number.isNaN(right) ? -Infinity : right) || 0);
    }
    return sign * String(left).localeCompare(String(right), "en", { numeric: true });
  };
}

/**
 * Runs, each followed by those that were made for it. One whose parent is not there stands by itself.
 *
 * @returns {{run: object, depth: number}[]}
 */
export function nested(runs) {
  const known = new Set(runs.map((run) => run.run));
  const below = new Map();
  for (const run of runs) {
    const parent = run.parent && run.parent !== run.run && known.has(run.parent) ? run.parent : "";
    if (below.has(parent)) below.get(parent).push(run);
    else below.set(parent, [run]);
  }
  const found = [];
  const seen = new Set();
  const stack = [...(below.get("") ?? [])].reverse().map((run) => ({ run, depth: 0 }));
  while (stack.length > 0) {
    const one = stack.pop();
    if (seen.has(one.run.run)) continue;
    seen.add(one.run.run);
    found.push(one);
    for (const run of [...(below.get(one.run.run) ?? [])].reverse()) stack.push({ run, depth: one.depth + 1 });
  }
  for (const run of runs) if (!seen.has(run.run)) found.push({ run, depth: 0 }); // a circle, which should not be
  return found;
}

/** A ring of points `[at, …]`: `next` is all of them, or only those newer than what is there. At most `most` are kept. */
export function joined(points, next, most) {
  if (next.length === 0) return points;
  const last = points.length > 0 ? points[points.length - 1][0] : -Infinity;
  const fresh = next.filter((point) => point[0] > last);
  const all = points.length === 0 || next.length >= most ? next : points.concat(fresh);
  return all.slice(-most);
}

/** Points as one list for each of their values, as a chart takes them. */
export function columns(points, width) {
  const found = Array.from({ length: width }, () => new Array(points.length));
  points.forEach((point, at) => {
    for (let column = 0; column < width; column += 1) found[column][at] = point[column] ?? null;
  });
  return found;
}
