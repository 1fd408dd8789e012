import assert from "node:assert/strict";
import { test } from "node:test";

import { bytes, clock, count, dollars, duration, plural, share, short, shortId } from "../../actors/serving/dashboard/static/logic/format.js";
import { clamp, find, layout, zoomed } from "../../actors/serving/dashboard/static/logic/icicle.js";
import { columns, compare, joined, nested } from "../../actors/serving/dashboard/static/logic/rows.js";
import { backoff, reader } from "../../actors/serving/dashboard/static/logic/sse.js";
import { branch, inSight, severity, Tree } from "../../actors/serving/dashboard/static/logic/tree.js";

const actor = (path, { phase = "running", waiting = 0, age = 0, restarts = 0, crash = "", kind = "Agent" } = {}) => [path, kind, phase, waiting, age, restarts, crash];

function planted(...rows) {
  const tree = new Tree();
  tree.load({ actors: rows, all: rows.length });
  return tree;
}

const paths = ({ rows }) => rows.map((node) => node.path);
const team = () => planted(actor("a"), actor("a/b"), actor("a/b/c", { waiting: 2, age: 31 }), actor("a/d", { crash: "lamp" }), actor("e", { phase: "starting" }));

test("a tree is flattened in the order in which it was told", () => {
  const tree = team();
  assert.deepEqual(paths(tree.flatten()), ["a", "a/b", "a/b/c", "a/d", "e"]);
  assert.deepEqual(tree.flatten().rows.map((node) => node.level), [1, 2, 3, 2, 1]);
  assert.deepEqual(tree.flatten().rows.map((node) => node.name), ["a", "b", "c", "d", "e"]);
});

test("what is below a collapsed actor is not shown, and counted", () => {
  const tree = team();
  assert.deepEqual(paths(tree.flatten({ collapsed: new Set(["a"]) })), ["a", "e"]);
  const top = tree.nodes.get("a");
  assert.deepEqual([top.below, top.belowWaiting, top.belowOldest, top.belowOff], [3, 1, 31, 0]);
  const busy = planted(actor("a", { waiting: 2, age: 9 }), actor("a/b", { waiting: 3, age: 4 }), actor("a/b/c", { waiting: 7, age: 1 }));
  assert.deepEqual(branch(busy.nodes.get("a")), { waiting: 12, age: 9 });
  assert.deepEqual(branch(busy.nodes.get("a/b")), { waiting: 10, age: 4 });
  assert.deepEqual(branch(planted(actor("a", { age: 9 })).nodes.get("a")), { waiting: 0, age: 0 });
});

test("what is found is shown with those above it", () => {
  const tree = team();
  const found = tree.flatten({ text: "LAMP" });
  assert.deepEqual(paths(found), ["a", "a/d"]);
  assert.equal(found.found, 1);
  assert.deepEqual(paths(tree.flatten({ show: "waiting" })), ["a", "a/b", "a/b/c"]);
  assert.deepEqual(paths(tree.flatten({ phase: "starting" })), ["e"]);
  assert.deepEqual(paths(tree.flatten({ show: "crashed", phase: "starting" })), []);
  assert.throws(() => tree.flatten({ show: "other" }), RangeError);
});

test("ordered by a figure, the largest is first and nobody stands below another", () => {
  const tree = planted(actor("a", { waiting: 1, age: 9 }), actor("a/b", { waiting: 5, age: 2 }), actor("c", { age: 50 }));
  assert.deepEqual(paths(tree.flatten({ order: "waiting" })), ["a/b", "a", "c"]);
  assert.deepEqual(paths(tree.flatten({ order: "age" })), ["a", "a/b", "c"]);
});

test("changes are taken in: who comes is last among its siblings, who goes takes along those below it", () => {
  const tree = team();
  tree.change({ set: [actor("a/x"), actor("a/b", { restarts: 2 })], removed: [], all: 6 });
  assert.deepEqual(paths(tree.flatten()), ["a", "a/b", "a/b/c", "a/d", "a/x", "e"]);
  assert.equal(tree.counts.restarted, 1);
  tree.change({ set: [], removed: ["a/b"], all: 4 });
  assert.deepEqual(paths(tree.flatten()), ["a", "a/d", "a/x", "e"]);
  assert.deepEqual([...tree.nodes.keys()].sort(), ["a", "a/d", "a/x", "e"]);
  tree.change({ removed: ["never/there"] });
  assert.equal(tree.counts.all, 4);
});

test("an actor whose parent is not shown stands below the nearest one that is", () => {
  const tree = planted(actor("a"), actor("a/b/c"), actor("x/y"));
  assert.deepEqual(tree.flatten().rows.map((node) => [node.name, node.level]), [["a", 1], ["b/c", 2], ["x/y", 1]]);
});

test("a million actors that come and go leave nothing behind", () => {
  const tree = planted(actor("a"));
  for (let at = 0; at < 1000; at += 1) {
    const set = Array.from({ length: 1000 }, (_, one) => actor(`a/${at}-${one}`));
    tree.change({ set, removed: [], all: 1001 });
    tree.change({ set: [], removed: set.map(([path]) => path), all: 1 });
  }
  assert.equal(tree.nodes.size, 1);
  assert.equal(tree.nodes.get("a").children.size, 0);
});

test("in a large tree those with many below them begin collapsed", () => {
  const rows = [actor("a"), actor("b"), actor("b/c")];
  for (let at = 0; at < 600; at += 1) rows.push(actor(`a/${at}`));
  assert.deepEqual(planted(...rows).crowded(), ["a"]);
  assert.deepEqual(team().crowded(), []);
});

test("how much an actor is one to look at goes by its state and by how long its oldest message waits", () => {
  const rank = (how) => severity(planted(actor("a", how)).nodes.get("a"));
  assert.deepEqual([{}, { waiting: 1, age: 1 }, { phase: "restarting" }, { waiting: 1, age: 5 }, { waiting: 1, age: 30 }, { phase: "failing" }].map(rank), [0, 1, 2, 3, 4, 4]);
});

test("only rows in sight are shown, with some around them", () => {
  assert.deepEqual(inSight(0, 280, 28, 10_000, 6), [0, 16]);
  assert.deepEqual(inSight(28_000, 280, 28, 10_000, 6), [994, 1016]);
  assert.deepEqual(inSight(28_000, 280, 28, 3, 6), [3, 3]);
  assert.deepEqual(inSight(0, 280, 28, 0, 6), [0, 0]);
});

test("a stream is read alike however it is cut", () => {
  const text = ": here\r\n\r\nevent: snapshot\r\ndata: {\"a\":\ndata: 1}\n\nid: 7\rdata:x\r\rdata: half";
  const whole = [];
  reader((...event) => whole.push(event))(text);
  assert.deepEqual(whole, [["snapshot", '{"a":\n1}', ""], ["message", "x", "7"]]);
  for (let size = 1; size < text.length; size += 1) {
    const events = [];
    const feed = reader((...event) => events.push(event));
    for (let at = 0; at < text.length; at += size) feed(text.slice(at, at + size));
    assert.deepEqual(events, whole, `in pieces of ${size}`);
  }
});

test("attempts come at ever longer intervals, never together and never too far apart", () => {
  assert.equal(backoff(0, () => 1), 0.5);
  assert.equal(backoff(3, () => 1), 4);
  assert.equal(backoff(3, () => 0), 2);
  assert.equal(backoff(1000, () => 1), 15);
});

test("figures are short and say their unit", () => {
  assert.deepEqual([0, 1234567, Number.NaN, null].map(count), ["0", "1,234,567", "–", "–"]);
  assert.deepEqual([7, 2.5, 999, 1000, 12_345, 999_499, 999_600, 3.2e6, 4e9].map(short), ["7", "2.5", "999", "1.0 k", "12 k", "999 k", "1.0 M", "3.2 M", "4.0 G"]);
  assert.deepEqual([0, 0.00001, 0.5, 12.345, 9_999, 10_000, 12_345, -3].map(dollars), ["$0.00", "<$0.0001", "$0.5000", "$12.35", "$9999.00", "$10 k", "$12 k", "-$3.00"]);
  assert.deepEqual([0, 0.0003, 0.004, 0.5, 2.34, 59.4, 59.6, 3599.9, 4000, 90_000].map(duration), ["0 s", "<1 ms", "4 ms", "500 ms", "2.3 s", "59 s", "1 min 00 s", "1 h 00 min", "1 h 06 min", "1 d 1 h"]);
  assert.deepEqual([0, 0.004, 0.5, 1.5].map(share), ["0 %", "0.4 %", "50 %", "150 %"]);
  assert.deepEqual([12, 4100, 4.12e8].map(bytes), ["12 B", "4.1 kB", "412 MB"]);
  assert.deepEqual([plural(1, "run"), plural(2, "run"), plural(0, "entry", "entries")], ["1 run", "2 runs", "0 entries"]);
  assert.equal(shortId("run-0123456789abcdef", 8), "run-…cdef");
  assert.notEqual(shortId("01a21c02-dd32-747b-866d-b85c986402ea", 14), shortId("01a21c02-dd32-7118-8985-157e556f9ad6", 14));
});

test("a time of another day has its date", () => {
  const noon = new Date(2030, 4, 6, 12, 3, 9).getTime() / 1000;
  assert.equal(clock(noon, noon + 60), "12:03:09");
  assert.equal(clock(noon, noon + 86_400), "2030-05-06 12:03:09");
  assert.equal(clock(0), "–");
});

test("runs stand below the one that they were made for", () => {
  const runs = [{ run: "1", parent: "" }, { run: "2", parent: "gone" }, { run: "3", parent: "1" }, { run: "4", parent: "3" }, { run: "5", parent: "1" }];
  assert.deepEqual(nested(runs).map(({ run, depth }) => [run.run, depth]), [["1", 0], ["3", 1], ["4", 2], ["5", 1], ["2", 0]]);
  assert.equal(nested([{ run: "1", parent: "2" }, { run: "2", parent: "1" }]).length, 2);
});

test("rows are ordered by numbers as numbers and by texts as texts", () => {
  const sorted = (values, descending) => [...values].sort(compare((value) => value, descending));
  assert.deepEqual(sorted([10, 9, 100], false), [9, 10, 100]);
  assert.deepEqual(sorted([10, 9, 100], true), [100, 10, 9]);
  assert.deepEqual(sorted(["run 10", "run 9"], false), ["run 9", "run 10"]);
});

test("points are a ring, whether all are told or only the new ones", () => {
  const points = [[1, 0.1], [2, 0.2]];
  assert.deepEqual(joined(points, [[2, 0.2], [3, 0.3]], 600), [[1, 0.1], [2, 0.2], [3, 0.3]]);
  assert.deepEqual(joined(points, [[3, 0.3], [4, 0.4]], 3), [[2, 0.2], [3, 0.3], [4, 0.4]]);
  assert.deepEqual(joined([], [[3, 0.3]], 3), [[3, 0.3]]);
  assert.deepEqual(columns([[1, 2], [3]], 2), [[1, 3], [2, null]]);
});

test("of a map, what is too small to be seen is kept by its worst", () => {
  const leaf = (x0, x1, rank) => ({ x0, x1, depth: 2, data: { rank } });
  const thousand = Array.from({ length: 1000 }, (_, at) => leaf(at / 2000, (at + 1) / 2000, at === 500 ? 4 : 0));
  const root = { x0: 0, x1: 1, depth: 0, data: null, children: [{ x0: 0, x1: 1, depth: 1, data: { rank: 0 }, children: [...thousand, leaf(0.5, 1, 1)] }] };
  const { boxes, dense } = layout(root, [0, 1], 100, 2, (one) => one.rank);
  assert.deepEqual(boxes.map((box) => [box.place.depth, box.top, box.height]).sort(), [[1, 0, 100], [2, 50, 50]]);
  assert.equal(dense[1][25], 5);
  assert.equal(dense[1][24], 1);
  assert.equal(dense[1][60], 0);
  const near = layout(root, [0.25, 0.255], 100, 2, (one) => one.rank);
  assert.equal(near.boxes.filter((box) => box.place.depth === 2).length, 10);
  assert.equal(find(root, [0, 1], 100, 2, 75).data.rank, 1);
  assert.equal(find(root, [0.25, 0.255], 100, 2, 1).data.rank, 4);
  assert.equal(find(root, [0, 1], 100, 3, 75), undefined);
});

test("zooming stays within the map", () => {
  assert.deepEqual(clamp([-0.5, 0.5]), [0, 1]);
  assert.deepEqual(clamp([0.75, 1.25]), [0.5, 1]);
  assert.deepEqual(zoomed([0, 1], 0.5, 0.5), [0.25, 0.75]);
  assert.deepEqual(zoomed([0.25, 0.75], 4, 0.5), [0, 1]);
});
