// The whole page takes what is dropped. While something is dragged over it, it says what will happen.

import { byId, fill, h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { searchByDrop } from "./sources.js";
import { allTerms } from "./state.js";
import * as router from "./router.js";

/** @type {(data: DataTransfer) => void} */
let ingest = () => {};

/** @param {(data: DataTransfer) => void} handler what a drop on the collection does */
export function onIngest(handler) {
  ingest = handler;
}

/** Wires it up. */
export function listen() {
  const zone = byId("dropzone");
  let depth = 0;

  const hide = () => {
    depth = 0;
    zone.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    depth += 1;
    if (zone.hidden) show(zone);
  });
  addEventListener("dragleave", (event) => {
    if (!takes(event)) return;
    depth -= 1;
    if (depth <= 0) hide();
  });
  addEventListener("dragover", (event) => {
    if (!takes(event)) return;
    event.preventDefault();
    for (const target of zone.children) target.classList.toggle("is-over", target === over(event));
  });
  addEventListener("drop", (event) => {
    if (!event.dataTransfer || !takes(event)) return;
    event.preventDefault();
    const how = /** @type {HTMLElement | null} */ (over(event))?.dataset.how ?? "instead";
    hide();
    if (router.current().view === "collection") ingest(event.dataTransfer);
    else searchByDrop(event.dataTransfer, /** @type {import("./sources.js").How} */ (how));
  });
}

/** @param {DragEvent} event */
const over = (event) => (event.target instanceof Element ? event.target.closest("[data-how]") : null);

/** Files and addresses; not what is dragged within the page.
 * @param {DragEvent} event */
function takes(event) {
  const types = event.dataTransfer?.types ?? [];
  return types.includes("Files") || types.includes("text/uri-list");
}

/** @param {HTMLElement} zone */
function show(zone) {
  const state = router.current();
  const target = (/** @type {string} */ how, /** @type {string} */ name, /** @type {string} */ key) =>
    h("div", { class: "drop-target", "data-how": how }, icon(name), h("p", {}, t(key)));
  if (state.view === "collection") {
    fill(zone, target("instead", "folder", "drop.ingest"));
  } else if (allTerms(state).length) {
    fill(
      zone,
      target("instead", "search", "drop.instead"),
      target("like", "plus", "drop.like"),
      target("unlike", "minus", "drop.unlike"),
    );
  } else {
    fill(zone, target("instead", "search", "drop.search"));
  }
  zone.hidden = false;
}
