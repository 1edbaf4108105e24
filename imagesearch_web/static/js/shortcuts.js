// Keys that work everywhere but in fields.

import { byId } from "./dom.js";
import * as router from "./router.js";
import * as searchbar from "./searchbar.js";

/** @type {Record<string, () => void>} */
const KEYS = {
  "/": () => searchbar.focus(),
  "?": () => byId("help").showModal(),
  u: () => byId("pick-file").click(),
  c: () => byId("open-camera").click(),
  r: () => byId("results").querySelector("a")?.focus(),
};

/** Listens to keys. */
export function listen() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest("input:not([type='checkbox']), textarea, select")) return;
    if (document.querySelector("dialog:modal")) return;
    const run = KEYS[event.key];
    if (!run || (router.current().view !== "search" && event.key !== "?")) return;
    event.preventDefault();
    run();
  });
  byId("open-help").addEventListener("click", () => byId("help").showModal());
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog")?.close());
  }
}
