// The actors drawn as an icicle: every one has its room, also where there are ten thousand.

import "../vendor/d3-hierarchy/d3-hierarchy.min.js";

import { badge, button, h, onFrame, setText } from "../dom.js";
import { count, duration, plural } from "../logic/format.js";
import { clamp, find, layout, zoomed } from "../logic/icicle.js";
import { LATE, OLD, severity } from "../logic/tree.js";

const { hierarchy, partition } = globalThis.d3;
const COLOURS = ["--map-idle", "--map-busy", "--map-moving", "--map-late", "--map-old"];
const WORDS = ["idle", "has messages", "starting or stopping", `waiting for ${LATE} s`, `for ${OLD} s, or failing`];
const LAYOUT_EVERY = 2000; // milliseconds: ten thousand actors that come and go are not laid out each second
const GLIDE = 180; // milliseconds

/**
 * @param {(path: string) => void} choose asked to show an actor.
 * @returns {{element: HTMLElement, draw: (tree: object, chosen: string) => void, close: () => void}}
 */
export function createMap(choose) {
  const canvas = h("canvas", { class: "map-canvas", role: "img", "aria-label": "Map of the actors", "data-testid": "map" });
  const tip = h("div", { class: "map-tip", hidden: true, "aria-hidden": "true" });
  const room = h("div", { class: "map-room" }, canvas, tip);
  const text = h("p", { class: "map-text", "data-testid": "map-text" });
  const zoomOut = button("−", "map-out", () => zoom(4), { "aria-label": "Zoom out", title: "Zoom out" });
  const zoomIn = button("+", "map-in", () => zoom(1 / 4), { "aria-label": "Zoom in on the chosen actor", title: "Zoom in on the chosen actor" });
  const whole = button("Whole", "map-whole", () => glide([0, 1]), { "aria-label": "Show the whole map" });
  const legend = h(
    "ul",
    { class: "map-legend", "aria-label": "Colours" },
    WORDS.map((word, rank) => h("li", { "data-rank": rank }, word)),
  );
  const element = h(
    "section",
    { class: "panel map", "aria-label": "Map" },
    h("div", { class: "panel-head" }, h("h2", null, "Map"), h("div", { class: "map-buttons" }, zoomOut, zoomIn, whole)),
    room,
    h("div", { class: "map-foot" }, legend, text),
  );

  let tree = null;
  let root = null;
  let levels = 1;
  let shape = -1;
  let laid = 0;
  let timer = 0;
  let part = [0, 1];
  let chosen = "";
  let colours = null;
  let told = 0;
  let still = 0; // the animation under way

  function lay() {
    timer = 0;
    const before = root === null || part[1] - part[0] >= 1 ? null : anchor();
    laid = performance.now();
    shape = tree.shape;
    root = hierarchy(null, (node) => (node === null ? [...tree.roots] : node.children.size > 0 ? [...node.children] : null));
    share(root);
    partition()(root);
    levels = Math.max(1, root.height);
    const now = before === null ? null : place(before.data.path);
    if (now) {
      const shift = (now.x0 + now.x1 - before.x0 - before.x1) / 2;
      part = clamp([part[0] + shift, part[1] + shift]);
    }
    later();
  }

  /** What stays where it is in sight while others come and go: the chosen actor, or what is in the middle. */
  function anchor() {
    const here = chosen === "" ? null : place(chosen);
    if (here && here.x0 < part[1] && here.x1 > part[0]) return here;
    for (let level = levels; level > 0; level -= 1) {
      const found = find(root, part, 1, level, 0.5);
      if (found) return found;
    }
    return null;
  }

  function place(path) {
    // From above: each part of the path names a child.
    let at = root;
    const node = tree.nodes.get(path);
    if (node === undefined) return null;
    const line = [];
    for (let one = node; one !== null; one = one.parent) line.push(one);
    for (const one of line.reverse()) {
      at = at?.children?.find((child) => child.data === one);
    }
    return at ?? null;
  }

  function paint() {
    if (root === null) return;
    const width = room.clientWidth;
    const height = room.clientHeight;
    if (width === 0 || height === 0) return;
    const ratio = Math.min(3, devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    colours ??= palette(canvas);
    const draw = canvas.getContext("2d");
    draw.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw.clearRect(0, 0, width, height);
    const column = width / levels;
    const { boxes, dense } = layout(root, part, height, levels, severity);
    dense.forEach((lines, level) => {
      let from = 0;
      for (let line = 1; line <= lines.length; line += 1) {
        if (line < lines.length && lines[line] === lines[from]) continue;
        if (lines[from] > 0) {
          draw.fillStyle = colours.ranks[lines[from] - 1];
          draw.fillRect(level * column, from, column - 1, line - from);
        }
        from = line;
      }
    });
    draw.font = `12px ${colours.font}`;
    draw.textBaseline = "top";
    for (const box of boxes) {
      const node = box.place.data;
      const rank = severity(node);
      const left = (box.place.depth - 1) * column;
      draw.fillStyle = colours.ranks[rank];
      draw.fillRect(left, box.top, column - 1, box.height >= 4 ? box.height - 1 : box.height);
      const top = Math.max(box.top, 0);
      const seen = Math.min(box.top + box.height, height) - top;
      if (seen >= 15 && column >= 40) {
        draw.save();
        draw.beginPath();
        draw.rect(left, top, column - 4, seen);
        draw.clip();
        draw.fillStyle = colours.on[rank];
        const letters = Math.max(3, Math.floor((column - 9) / 6.8)); // of long names the end tells them apart
        const name = node.name.length > letters ? `…${node.name.slice(1 - letters)}` : node.name;
        draw.fillText(name, left + 5, top + Math.min(4, (seen - 12) / 2));
        if (seen >= 32 && node.below > 0) {
          draw.globalAlpha = 0.8;
          draw.fillText(column >= 96 ? `${count(node.below)} below` : count(node.below), left + 5, top + 19);
        }
        draw.restore();
      }
    }
    const here = chosen === "" ? null : place(chosen);
    if (here) {
      const scale = height / (part[1] - part[0]);
      const size = Math.max(3, (here.x1 - here.x0) * scale);
      draw.strokeStyle = colours.text;
      draw.lineWidth = 2;
      draw.strokeRect((here.depth - 1) * column + 1, (here.x0 - part[0]) * scale, column - 3, size - 1);
    }
    zoomOut.disabled = whole.disabled = part[1] - part[0] >= 1;
  }

  const later = onFrame(paint);

  function zoom(factor) {
    if (root === null) return;
    const here = chosen === "" ? null : place(chosen);
    const middle = here ? (here.x0 + here.x1) / 2 : (part[0] + part[1]) / 2;
    const size = (part[1] - part[0]) * factor;
    glide(clamp([middle - size / 2, middle + size / 2]));
  }

  function glide(to) {
    cancelAnimationFrame(still);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      part = to;
      later();
      return;
    }
    const from = part;
    const begun = performance.now();
    const step = (now) => {
      const done = Math.min(1, Math.max(0, (now - begun) / GLIDE));
      const eased = 1 - (1 - done) ** 3;
      part = [from[0] + (to[0] - from[0]) * eased, from[1] + (to[1] - from[1]) * eased];
      later();
      if (done < 1) still = requestAnimationFrame(step);
    };
    still = requestAnimationFrame(step);
  }

  function under(event) {
    if (root === null) return null;
    const box = canvas.getBoundingClientRect();
    const level = Math.floor(((event.clientX - box.left) / box.width) * levels) + 1;
    return find(root, part, box.height, level, event.clientY - box.top) ?? null;
  }

  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => {
    dragged = { y: event.clientY, part, far: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (dragged !== null && event.buttons === 1) {
      const moved = event.clientY - dragged.y;
      if (Math.abs(moved) > 4) dragged.far = true;
      const shift = (moved / room.clientHeight) * (dragged.part[1] - dragged.part[0]);
      part = clamp([dragged.part[0] - shift, dragged.part[1] - shift]);
      later();
      return;
    }
    hint(event);
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  canvas.addEventListener("click", (event) => {
    const far = dragged?.far;
    dragged = null;
    const found = far ? null : under(event);
    if (found?.data) choose(found.data.path);
  });
  canvas.addEventListener("dblclick", (event) => {
    const found = under(event);
    if (found) glide(clamp([found.x0, found.x1]));
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // else the page is scrolled
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const centre = part[0] + ((event.clientY - box.top) / box.height) * (part[1] - part[0]);
      part = zoomed(part, event.deltaY > 0 ? 1.25 : 0.8, centre);
      later();
    },
    { passive: false },
  );

  function hint(event) {
    const found = under(event);
    if (!found?.data) {
      tip.hidden = true;
      return;
    }
    const node = found.data;
    tip.replaceChildren(h("strong", null, node.path), badge(node.phase, node.phase === "running" ? "ok" : "info"));
    if (node.waiting > 0) tip.append(h("span", null, `${plural(node.waiting, "message")}, oldest ${duration(node.age)}`));
    tip.hidden = false;
    const box = canvas.getBoundingClientRect();
    const x = Math.min(event.clientX - box.left + 12, box.width - tip.offsetWidth - 4);
    const y = event.clientY - box.top + 16;
    tip.style.transform = `translate(${Math.max(4, x)}px, ${y + tip.offsetHeight > box.height ? y - tip.offsetHeight - 28 : y}px)`;
  }

  function themed() {
    colours = null;
    later();
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", themed);
  document.addEventListener("themechange", themed);
  const resized = new ResizeObserver(later);
  resized.observe(room);

  return {
    element,
    draw(next, path) {
      tree = next;
      chosen = path;
      if (shape !== tree.shape && timer === 0) {
        const wait = root === null ? 0 : Math.max(0, laid + LAYOUT_EVERY - performance.now());
        if (wait === 0) lay();
        else timer = setTimeout(lay, wait);
      }
      if (performance.now() - told > 1000) {
        told = performance.now();
        setText(text, describe(tree));
      }
      later();
    },
    close() {
      clearTimeout(timer);
      cancelAnimationFrame(still);
      later.cancel();
      resized.disconnect();
      dark.removeEventListener("change", themed);
      document.removeEventListener("themechange", themed);
    },
  };
}

/**
 * Gives each actor a part of its parent's room that grows with the square root of how many are below it: a pool with
 * three endpoints is still to be seen beside a crew of thousands.
 */
function share(root) {
  root.value = 1;
  root.eachBefore((place) => {
    const weights = (place.children ?? []).map((child) => Math.sqrt(1 + child.data.below));
    const all = weights.reduce((one, other) => one + other, 0);
    weights.forEach((weight, at) => {
      place.children[at].value = (place.value * weight) / all;
    });
  });
}

/** What the map shows, in words. */
function describe(tree) {
  const { all, waiting, off, crashed } = tree.counts;
  if (all === 0) return "No actors.";
  const said = [plural(all, "actor")];
  said.push(off > 0 ? `${count(off)} not running` : "all running");
  if (waiting > 0) said.push(`${count(waiting)} with messages waiting, the oldest for ${duration(tree.oldest)}`);
  if (crashed > 0) said.push(`${count(crashed)} crashed before`);
  return `${said.join("; ")}.`;
}

/** The theme's colours as the canvas takes them: it knows no custom properties. */
function palette(element) {
  const probe = h("span", { hidden: true });
  element.parentElement.append(probe);
  const read = (value) => {
    probe.style.color = value;
    return getComputedStyle(probe).color;
  };
  const found = {
    ranks: COLOURS.map((name) => read(`var(${name})`)),
    on: COLOURS.map((name) => read(`var(${name}-on)`)),
    text: read("var(--text)"),
    font: getComputedStyle(element).fontFamily,
  };
  probe.remove();
  return found;
}
