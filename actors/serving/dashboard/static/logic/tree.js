// The tree of actors as the live stream tells it: kept, counted, filtered and flattened. No DOM here: tested with node.

export const LATE = 5; // seconds that the oldest message waits, from which an actor counts as late
export const OLD = 30; // … and as one that does not come to its messages

/** What can be shown alone: a test for each. */
export const SHOWS = {
  all: null,
  waiting: (node) => node.waiting > 0,
  restarted: (node) => node.restarts > 0,
  crashed: (node) => node.crash !== "",
  off: (node) => node.phase !== "running",
};

/** How much an actor is one to look at: 0 idle, 1 busy, 2 starting or stopping, 3 late, 4 old or failing. */
export function severity(node) {
  if (node.phase === "failing" || (node.waiting > 0 && node.age >= OLD)) return 4;
  if (node.waiting > 0 && node.age >= LATE) return 3;
  if (node.phase !== "running") return 2;
  return node.waiting > 0 ? 1 : 0;
}

/** The messages that wait in an actor and in those below it, and how long the oldest has. */
export function branch(node) {
  return { waiting: node.waiting + node.belowMessages, age: Math.max(node.waiting > 0 ? node.age : 0, node.belowOldest) };
}

class ActorNode {
  constructor(path) {
    this.path = path;
    this.name = path;
    this.parent = null;
    this.level = 1;
    this.children = new Set();
    this.kind = "";
    this.phase = "";
    this.waiting = 0;
    this.age = 0;
    this.restarts = 0;
    this.crash = "";
    // Of those below it:
    this.below = 0;
    this.belowWaiting = 0;
    this.belowMessages = 0;
    this.belowOff = 0;
    this.belowOldest = 0;
  }
}

export class Tree {
  constructor() {
    this.nodes = new Map();
    this.roots = new Set();
    this.all = 0;
    /** Rises with each actor that comes or goes. */
    this.shape = 0;
    this.phases = new Set();
    this.counts = { all: 0, waiting: 0, restarted: 0, crashed: 0, off: 0 };
    this.oldest = 0;
  }

  /** Takes a whole tree, in tree order. */
  load({ actors, all }) {
    this.nodes.clear();
    this.roots.clear();
    for (const row of actors) this.#set(row);
    this.all = all;
    this.shape += 1;
    this.count();
  }

  /** Takes what has changed. An actor that has gone takes those below it along. */
  change({ set = [], removed = [], all = this.all }) {
    for (const path of removed) this.#remove(path);
    for (const row of set) this.#set(row);
    this.all = all;
    this.count();
  }

  #set([path, kind, phase, waiting, age, restarts, crash]) {
    let node = this.nodes.get(path);
    if (node === undefined) {
      node = new ActorNode(path);
      node.parent = this.#above(path);
      node.name = node.parent === null ? path : path.slice(node.parent.path.length + 1);
      node.level = node.parent === null ? 1 : node.parent.level + 1;
      (node.parent === null ? this.roots : node.parent.children).add(node);
      this.nodes.set(path, node);
      this.shape += 1;
    }
    node.kind = kind;
    node.phase = phase;
    node.waiting = waiting;
    node.age = age;
    node.restarts = restarts;
    node.crash = crash;
  }

  /** The nearest actor above a path that is there: its parent may not be shown where there are too many. */
  #above(path) {
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
      const found = this.nodes.get(path.slice(0, at));
      if (found !== undefined) return found;
    }
    return null;
  }

  #remove(path) {
    const node = this.nodes.get(path);
    if (node === undefined) return;
    (node.parent === null ? this.roots : node.parent.children).delete(node);
    const going = [node];
    while (going.length > 0) {
      const one = going.pop();
      this.nodes.delete(one.path);
      going.push(...one.children);
    }
    this.shape += 1;
  }

  /** Counts anew, for the whole and for what is below each actor. */
  count() {
    const counts = { all: this.nodes.size, waiting: 0, restarted: 0, crashed: 0, off: 0 };
    let oldest = 0;
    this.phases.clear();
    const order = [];
    const stack = [...this.roots];
    while (stack.length > 0) {
      const node = stack.pop();
      order.push(node);
      node.below = node.belowWaiting = node.belowMessages = node.belowOff = node.belowOldest = 0;
      for (const child of node.children) stack.push(child);
    }
    for (let at = order.length - 1; at >= 0; at -= 1) {
      const node = order[at];
      const waits = node.waiting > 0 ? 1 : 0;
      const off = node.phase !== "running" ? 1 : 0;
      const age = waits ? node.age : 0;
      counts.waiting += waits;
      counts.off += off;
      counts.restarted += node.restarts > 0 ? 1 : 0;
      counts.crashed += node.crash !== "" ? 1 : 0;
      if (age > oldest) oldest = age;
      this.phases.add(node.phase);
      const above = node.parent;
      if (above !== null) {
        above.below += node.below + 1;
        above.belowWaiting += node.belowWaiting + waits;
        above.belowMessages += node.belowMessages + node.waiting;
        above.belowOff += node.belowOff + off;
        above.belowOldest = Math.max(above.belowOldest, node.belowOldest, age);
      }
    }
    this.counts = counts;
    this.oldest = oldest;
  }

  /** The paths to begin with collapsed: in a large tree those with many right below them. */
  crowded(large = 500, many = 50) {
    if (this.nodes.size <= large) return [];
    return [...this.nodes.values()].filter((node) => node.children.size > many).map((node) => node.path);
  }

  /**
   * The actors to show, one a row.
   *
   * @param {object} how
   * @param {Set<string>} how.collapsed paths whose children are not shown.
   * @param {string} how.text to be found in the path, the kind or the crash; case does not matter.
   * @param {string} how.show one of `SHOWS`.
   * @param {string} how.phase the one to show; empty for any.
   * @param {string} how.order `tree`, or `waiting`, `age`, `restarts`: then the largest first, without a tree.
   * @returns {{rows: ActorNode[], found: number}} with the actors above those found, and how many were found.
   */
  flatten({ collapsed = new Set(), text = "", show = "all", phase = "", order = "tree" } = {}) {
    const test = matcher(text, show, phase);
    if (order !== "tree") {
      const rows = [];
      for (const node of this.nodes.values()) if (test === null || test(node)) rows.push(node);
      const value = order === "age" ? (node) => (node.waiting > 0 ? node.age : 0) : (node) => node[order];
      rows.sort((one, other) => value(other) - value(one) || (one.path < other.path ? -1 : 1));
      return { rows, found: rows.length };
    }
    let kept = null;
    let found = this.nodes.size;
    if (test !== null) {
      kept = new Set();
      found = 0;
      for (const node of this.nodes.values()) {
        if (!test(node)) continue;
        found += 1;
        for (let at = node; at !== null && !kept.has(at); at = at.parent) kept.add(at);
      }
    }
    const rows = [];
    const stack = [[...this.roots].reverse()];
    while (stack.length > 0) {
      const level = stack[stack.length - 1];
      const node = level.pop();
      if (node === undefined) {
        stack.pop();
        continue;
      }
      if (kept !== null && !kept.has(node)) continue;
      rows.push(node);
      if (node.children.size > 0 && !collapsed.has(node.path)) stack.push([...node.children].reverse());
    }
    return { rows, found };
  }
}

/** A test for what is to be shown; null where that is everything. */
export function matcher(text, show, phase) {
  const wanted = text.trim().toLowerCase();
  const test = SHOWS[show];
  if (test === undefined) throw new RangeError(`nothing is shown by the name of ${show}`);
  if (wanted === "" && test === null && phase === "") return null;
  return (node) =>
    (test === null || test(node)) &&
    (phase === "" || node.phase === phase) &&
    (wanted === "" ||
      node.path.toLowerCase().includes(wanted) ||
      node.kind.toLowerCase().includes(wanted) ||
      node.crash.toLowerCase().includes(wanted));
}

/**
 * What of a list of rows is in sight.
 *
 * @returns {[number, number]} the first, and the one after the last, with `more` on either side.
 */
export function inSight(top, height, rowHeight, length, more = 6) {
  const first = Math.max(0, Math.floor(top / rowHeight) - more);
  const last = Math.min(length, Math.ceil((top + height) / rowHeight) + more);
  return [Math.min(first, length), Math.max(last, 0)];
}
