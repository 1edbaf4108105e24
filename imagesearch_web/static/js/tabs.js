// Tabs as the ARIA Authoring Practices describe them.

import { h } from "./dom.js";

/** @typedef {{id: string, label: string, show: (panel: HTMLElement) => void}} Tab `show` is called
 *   when the tab is first opened */

/** @param {string} label of the whole
 * @param {Tab[]} all
 * @param {string} chosen id; the first where there is none such
 * @param {(id: string) => void} onchange
 * @returns {HTMLElement} */
export function tabs(label, all, chosen, onchange) {
  const buttons = all.map(({ id, label: name }) =>
    h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}` }, name),
  );
  const panels = all.map(({ id }) =>
    h("div", { role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}`, tabindex: 0 }),
  );
  const opened = new Set();
  const open = (/** @type {number} */ at) => {
    for (const [n, button] of buttons.entries()) {
      button.setAttribute("aria-selected", String(n === at));
      button.tabIndex = n === at ? 0 : -1;
      panels[n].hidden = n !== at;
    }
    if (!opened.has(at)) {
      opened.add(at);
      all[at].show(panels[at]);
    }
  };
  for (const [n, button] of buttons.entries()) {
    button.addEventListener("click", () => {
      open(n);
      onchange(all[n].id);
    });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(n + step + buttons.length) % buttons.length];
      next.focus();
      next.click();
    });
  }
  open(Math.max(0, all.findIndex(({ id }) => id === chosen)));
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": label }, buttons), panels);
}
