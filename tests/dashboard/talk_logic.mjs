import assert from "node:assert/strict";
import { test } from "node:test";

import { count, inWords, readDiff } from "../../actors/serving/dashboard/static/logic/diff.js";
import { Events, Latest, inWords as kind, pageOf } from "../../actors/serving/dashboard/static/logic/journal.js";
import { Misplaced, indented, pathOf, placeOf, readObject, refusals } from "../../actors/serving/dashboard/static/logic/json.js";
import { Known, byStep } from "../../actors/serving/dashboard/static/logic/known.js";
import { layout, inWords as sentence } from "../../actors/serving/dashboard/static/logic/sequence.js";
import { cut, decoded, line, path, visible, whose } from "../../actors/serving/dashboard/static/logic/text.js";

test("an escape sequence of a terminal is seen and does nothing", () => {
  assert.equal(visible("\u001b[31mred\u001b[0m\u0007"), "⟨ESC⟩[31mred⟨ESC⟩[0m⟨BEL⟩");
});

test("what turns the direction of a line around is written out", () => {
  assert.equal(visible("a\u202egpj.exe\u2066"), "a⟨U+202E⟩gpj.exe⟨U+2066⟩");
});

test("letters that hide are written out, and those of emoji, Persian and lines are left alone", () => {
  assert.equal(visible("a\u200bb\u{e0041}\ufeff"), "a⟨U+200B⟩b⟨U+E0041⟩⟨U+FEFF⟩");
  const kept = "👩‍👩‍👧 می‌خواهم é\tline\nline ❤️";
  assert.equal(visible(kept), kept);
  assert.equal(visible("one\r\ntwo\rthree"), "one\ntwo⟨CR⟩three");
});

test("half of a surrogate pair is named, a whole one is left", () => {
  assert.equal(visible("\ud83d and \ude00 and 😀"), "⟨U+D83D⟩ and ⟨U+DE00⟩ and 😀");
});

test("HTML stays the text that it is", () => {
  assert.equal(visible("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>");
});

test("a cut is never inside what is seen as one character", () => {
  const family = "👩‍👩‍👧‍👦";
  for (let most = 1; most < family.length + 2; most++) {
    const { text, left } = cut(`a${family}b`, most);
    assert.ok(["a", `a${family}`, `a${family}b`].includes(text), JSON.stringify(text));
    assert.equal(text.length + left, family.length + 2);
  }
  assert.equal(cut("e\u0301e\u0301", 3).text, "e\u0301");
  assert.deepEqual(cut("short", 5), { text: "short", left: 0 });
});

test("marks without end are cut all the same, and a long text costs no more than a short one", () => {
  assert.ok(cut(`a${"\u0301".repeat(100_000)}`, 1000).text.length <= 1000);
  const long = "😀".repeat(20_000_000);
  assert.equal(cut(long, 1001).text, "😀".repeat(500));
  assert.equal(line(long, 10), `${"😀".repeat(5)}…`);
});

test("a label is one line", () => {
  assert.equal(line("a\n  b\u0000\tc"), "a b⟨NUL⟩ c");
});

const DIFF = `--- a/notes.txt
+++ b/notes.txt
@@ -1,3 +1,3 @@ head
 one
--- two
+++ zwei
 three
\\ No newline at end of file
@@ -10 +10,2 @@
 ten
+eleven
`;

test("a unified diff has its line numbers, and lines of dashes are lines", () => {
  assert.deepEqual(
    readDiff(DIFF).map((row) => [row.kind, row.old, row.new, row.text]),
    [
      ["hunk", null, null, "head"],
      ["same", 1, 1, "one"],
      ["removed", 2, null, "-- two"],
      ["added", null, 2, "++ zwei"],
      ["same", 3, 3, "three"],
      ["note", null, null, "No newline at end of file"],
      ["hunk", null, null, "from line 10"],
      ["same", 10, 10, "ten"],
      ["added", null, 11, "eleven"],
    ],
  );
});

test("a new file and nothing at all are diffs too", () => {
  const rows = readDiff("--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  assert.deepEqual(count(rows), { added: 2, removed: 0 });
  assert.equal(inWords(count(rows)), "2 lines added");
  assert.equal(inWords(count(readDiff(""))), "no line changes");
  assert.equal(inWords(count(readDiff(DIFF))), "2 lines added, 1 line removed");
});

test("a mistake in JSON is told with its line and column", () => {
  const wrong = (text) => {
    try {
      readObject(text);
    } catch (error) {
      assert.ok(error instanceof Misplaced);
      return [error.line, error.column, error.message];
    }
    return null;
  };
  assert.deepEqual(wrong('{\n  "a": 1,\n}'), [3, 1, 'a comma may not stand before "}"']);
  assert.deepEqual(wrong('{"a": tru}'), [1, 7, '"tru" is no value; texts stand in double quotes']);
  assert.deepEqual(wrong('{"a" 1}'), [1, 6, 'expected ":" after the name']);
  assert.deepEqual(wrong('{"a": "b}'), [1, 7, "the text in quotes has no end"]);
  assert.deepEqual(wrong("[1]"), [1, 1, "arguments are an object: { … }"]);
  assert.deepEqual(wrong('{"a": 1, "a": 2}'), [1, 10, 'the name "a" is there twice']);
  assert.deepEqual(wrong('{"a": 1e999}'), [1, 7, "the number is too large"]);
  assert.deepEqual(wrong('{"a": 01}'), [1, 7, "not a number as JSON has it"]);
  assert.deepEqual(wrong('{"a": "\\x"}'), [1, 8, "no such escape; a backslash is written \\\\"]);
  assert.deepEqual(wrong(""), [1, 1, "a value is missing at the end"]);
  assert.deepEqual(wrong('{"a": 1} x'), [1, 10, "nothing may follow the value"]);
  assert.match(wrong("[".repeat(100_000))[2], /nested more than 200 deep/);
  assert.equal(wrong('{"a": [1, -2.5e3, {"b": "\\u00e4\\n"}, true, null]}'), null);
});

test("what is read agrees with the browser's own JSON", () => {
  const texts = ['{}', '{"a":{}}', '{"a":[]}', '{"a":-0}', '{"a":-}', '{"a":.5}', '{"a":5.}', '{a:1}', "{'a':1}"];
  texts.push('{"a":"\t"}', '{"a":"\\ud800"}', '{"a":1,}', '{"a":[1,]}', '{"a":nul}', '{"a":1}}', '{"":0}', '{"a":"\\u12"}');
  const fine = (read, text) => {
    try {
      read(text);
      return true;
    } catch {
      return false;
    }
  };
  for (const text of texts) assert.equal(fine(readObject, text), fine(JSON.parse, text), text);
});

test("a path of the server is found in the text", () => {
  const text = '{"parts": [{"to": ["a", 3]}, {"n": 12345678901234567890}]}';
  const at = (where) => text.slice(...placeOf(text, pathOf(where)));
  assert.equal(at("parts.0.to.1"), "3");
  assert.equal(at("parts[1].n"), "12345678901234567890");
  assert.equal(at("/parts/0/to"), '["a", 3]');
  assert.equal(at("parts.1.missing"), '{"n": 12345678901234567890}');
  assert.equal(at("$.nothing"), text);
  assert.equal(placeOf("{", ["a"]), null);
});

test("a refusal is taken apart into what it says of each value", () => {
  const detail = "the arguments of 'send' do not fit its schema:\n- parts.0.n: an integer (got 'x')\n- bogus: no such\nExpected: {}";
  assert.deepEqual(refusals({ detail }), [
    { path: ["parts", "0", "n"], message: "an integer (got 'x')" },
    { path: ["bogus"], message: "no such" },
  ]);
  assert.deepEqual(refusals({ detail: "too long", where: "arguments.path" }), [{ path: ["path"], message: "too long" }]);
  assert.deepEqual(refusals({ detail: "it has expired", where: "approval" }), []);
});

const SEQUENCE = {
  lanes: ["lead", "writer", "critic"],
  arrows: [
    { from: "lead", to: "writer", kind: "ask", label: "draft it", at: 1, step: 1 },
    { from: "writer", to: "save", kind: "tool", label: "save", at: 2, step: 1 },
    { from: "writer", to: "lead", kind: "answer", label: "done", at: 3, step: 1 },
  ],
};

test("each agent at work has a lane, each arrow a row, and a tool is called where the agent stands", () => {
  const drawn = layout(SEQUENCE);
  assert.deepEqual(drawn.lanes.map((lane) => lane.name), ["lead", "writer"]);
  assert.deepEqual(drawn.arrows.map((arrow) => arrow.number), [1, 2, 3]);
  assert.ok(drawn.arrows[1].own && !drawn.arrows[0].own);
  assert.ok(drawn.arrows.every((arrow, place) => place === 0 || arrow.y > drawn.arrows[place - 1].y));
  assert.ok(drawn.arrows.at(-1).y < drawn.height);
  assert.deepEqual(layout(SEQUENCE, { from: 2, count: 1 }).arrows.map((arrow) => arrow.number), [3]);
  assert.deepEqual(layout({ lanes: [], arrows: [] }).arrows, []);
});

test("an arrow is a sentence", () => {
  assert.equal(sentence(SEQUENCE.arrows[0]), "lead asks writer: draft it");
  assert.equal(sentence(SEQUENCE.arrows[1]), "writer calls save");
});

test("events are fetched a page at a time, once, and again after a failure", async () => {
  const asked = [];
  let fails = true;
  const events = new Events(async (after, limit) => {
    asked.push(after);
    if (fails) throw new Error("gone");
    return Array.from({ length: limit }, (_, place) => ({ version: after + place + 1 }));
  });
  assert.equal(await events.at(0), null);
  await assert.rejects(events.at(1));
  fails = false;
  assert.deepEqual([await events.at(1), await events.at(100), await events.at(101)].map((event) => event.version), [1, 100, 101]);
  assert.deepEqual(asked, [0, 0, 100]);
  assert.deepEqual([0, 1, 100, 101, 200, 201].map(pageOf), [0, 0, 0, 100, 100, 200]);
});

test("of many answers only that to the last question counts", async () => {
  const latest = new Latest();
  let slow;
  const first = latest.of(new Promise((resolve) => (slow = resolve)));
  const second = latest.of(Promise.resolve("second"));
  slow("first");
  assert.deepEqual([await first, await second], [undefined, "second"]);
  const failing = latest.of(Promise.reject(new Error("late")));
  latest.forget();
  assert.equal(await failing, undefined);
});

test("an event has words, also one that nobody has written any for", () => {
  assert.equal(kind("Completed"), "Model answered");
  assert.equal(kind("SomethingElse"), "Something else");
});

test("JSON is laid out with every number and text as it was written", () => {
  const text = '{"id":12345678901234567890,"list":[1,2,3],"e":{},"t":"a {b: c}, \\"d\\"","deep":{"a":"' + "x".repeat(60) + '"}}';
  const laid = `{
  "id": 12345678901234567890,
  "list": [1, 2, 3],
  "e": {},
  "t": "a {b: c}, \\"d\\"",
  "deep": {
    "a": "${"x".repeat(60)}"
  }
}`;
  assert.equal(indented(text), laid);
  assert.equal(indented(laid), laid);
  assert.equal(indented("{}"), "{}");
  assert.equal(indented("[]"), "[]");
  assert.equal(indented("no such file"), "no such file");
  assert.equal(indented('"a"'), '"a"');
  assert.equal(indented(""), "");
});

test("of a long list the end is known first, and what is before as it comes", () => {
  const known = new Known().newest(4, ["e", "f"]);
  assert.equal(known.total, 6);
  assert.ok(known.has(4, 6) && !known.has(3, 5));
  known.put(2, ["c", "d"]);
  assert.ok(known.has(2, 6));
  assert.deepEqual(known.part(0, 4), ["c", "d"]);
  known.newest(6, ["g"]);
  assert.deepEqual([known.total, known.part(2, 7)], [7, ["c", "d", "e", "f", "g"]]);
  known.newest(0, ["a"]);
  assert.deepEqual([known.total, known.part(0, 7)], [1, ["a"]]);
});

test("rows of one step stand together", () => {
  const rows = [{ step: 1 }, { step: 1, kind: "tool" }, { step: 2 }];
  assert.deepEqual(byStep(rows), [{ step: 1, rows: rows.slice(0, 2) }, { step: 2, rows: rows.slice(2) }]);
  assert.deepEqual(byStep([]), []);
});

test("an event behind a page that ended early is fetched by itself", async () => {
  const events = new Events(async (after, limit) => Array.from({ length: Math.min(limit, 2) }, (_, place) => ({ version: after + place + 1 })));
  assert.deepEqual(await events.at(2), { version: 2 });
  assert.deepEqual(await events.at(50), { version: 50 });
});

test("a part of an address comes back as it was named, and one that is written by hand stays as it is", () => {
  for (const name of ["c-7", "a b", "100 %", "?#&"]) assert.equal(decoded(path(name)), name);
  for (const part of ["%", "100%", "%zz"]) assert.equal(decoded(part), part);
});

test("of two tenants each may have an ada", () => {
  assert.equal(whose("ada", "acme"), "ada of acme");
  assert.equal(whose("ada", ""), "ada");
  assert.equal(whose("", ""), "");
});
