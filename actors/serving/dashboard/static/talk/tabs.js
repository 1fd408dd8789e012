// Tabs as screen readers know them: one of them in the order of the tab key, arrows go from one to the next.

import { h, setText } from "../dom.js";

let serial = 0;

/**
 * @param {string} label of all of them.
 * @param {{id: string, title: string, panel: HTMLElement}[]} tabs
 * @param {(id: string) => void} [onopen]
 */
export function tabs(label, tabs, onopen = () => {}) {
  const mine = `tabs-${++serial}`;
  const parts = tabs.map(({ id, title, panel }) => {
    const number = h("span", { class: "tab-count" });
    const button = h(
      "button",
      { type: "button", class: "tab", role: "tab", id: `${mine}-${id}`, "aria-controls": `${mine}-${id}-panel`,
        "data-testid": `tab-${id}`, onclick: () => open(id), onkeydown: key },
      title, " ", number,
    );
    const place = h(
      "div",
      { class: "tab-panel", role: "tabpanel", id: `${mine}-${id}-panel`, "aria-labelledby": `${mine}-${id}`, tabindex: "0" },
      panel,
    );
    return { id, button, number, place };
  });

  function open(id) {
    for (const part of parts) {
      const chosen = part.id === id;
      part.button.setAttribute("aria-selected", String(chosen));
      part.button.tabIndex = chosen ? 0 : -1;
      part.place.hidden = !chosen;
    }
    onopen(id);
  }

  function key(event) {
    const at = parts.findIndex(({ button }) => button === event.currentTarget);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: parts.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const part = parts[(to + parts.length) % parts.length];
    open(part.id);
    part.button.focus();
  }

  open(tabs[0].id);
  return {
    element: h(
      "div",
      { class: "tabs" },
      h("div", { class: "tab-list", role: "tablist", "aria-label": label }, parts.map(({ button }) => button)),
      parts.map(({ place }) => place),
    ),
    open,
    tell(id, value) {
      setText(parts.find((part) => part.id === id).number, value);
    },
  };
}
