// The page: puts its parts together, and shows the state of the address.

import { byId, h } from "./dom.js";
import * as dropzone from "./dropzone.js";
import * as filterbar from "./filterbar.js";
import * as i18n from "./i18n.js";
import { LANGUAGES } from "./languages.js";
import { lazily } from "./lazy.js";
import * as router from "./router.js";
import * as searchbar from "./searchbar.js";
import * as searchview from "./searchview.js";
import * as shortcuts from "./shortcuts.js";
import { onPaste } from "./sources.js";
import * as start from "./start.js";
import { allTerms } from "./state.js";
import * as storage from "./storage.js";
import * as theme from "./theme.js";

/** @typedef {import("./state.js").State} State */

const camera = lazily(() => import("./camera.js"));
const collection = lazily(() => import("./collection.js"));
const detail = lazily(() => import("./detail.js"));

/** Which of the page's views a state is shown by.
 * @param {State} state
 * @returns {"start" | "search" | "collection"} */
function viewOf(state) {
  if (state.view === "collection") return "collection";
  return allTerms(state).length ? "search" : "start";
}

/** @param {State} state
 * @param {State | null} before */
function show(state, before) {
  const view = viewOf(state);
  const viewBefore = before && viewOf(before);
  document.body.dataset.view = view;
  for (const each of ["start", "search"]) byId(each).hidden = each !== view;
  searchbar.show(state);
  searchview.show(state, view === "search");
  if (view === "search") start.hide();
  else searchview.stop();
  const isNew = view !== viewBefore || state.index !== before?.index;
  if (view === "start" && isNew) {
    start.show(state);
    void start.showCount(state.index);
  }
  if (view !== "collection") byId("collection").hidden = true;
  else if (isNew) void showCollection();
  if (state.show || before?.show) void detail().then((part) => part.show(router.current()));
  byId("to-collection").href = router.address({ ...state, view: "collection", show: "", tab: "" });
  byId("brand").href = state.index ? `?index=${encodeURIComponent(state.index)}` : location.pathname;
  document.title = title(state, view);
}

async function showCollection() {
  const part = await collection();
  const state = router.current();
  if (viewOf(state) !== "collection") return;
  byId("collection").hidden = false; // only now do its buttons do anything
  part.show(state);
}

/** @param {State} state
 * @param {string} view */
function title(state, view) {
  const words = allTerms(state)
    .filter(({ kind, weight }) => kind === "text" && weight > 0)
    .map(({ value }) => value);
  const part = view === "collection" ? i18n.t("nav.collection") : words.join(" · ");
  return [part, i18n.t("title")].filter(Boolean).join(" – ");
}

/** Links within the page change the state without loading it anew. */
function followLinks() {
  addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || !link.href) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname !== location.pathname || url.hash) return;
    event.preventDefault();
    router.goTo(url.search);
  });
}

function chooseLanguage() {
  const select = byId("language");
  for (const [code, name] of Object.entries(LANGUAGES)) {
    select.append(h("option", { value: code, lang: code }, name));
  }
  select.value = i18n.current();
  select.addEventListener("change", () => {
    storage.write("language", select.value);
    location.reload();
  });
}

async function main() {
  theme.apply();
  await i18n.ready();
  i18n.translate(document);
  chooseLanguage();
  theme.listen();
  searchbar.listen();
  filterbar.listen();
  searchview.listen();
  shortcuts.listen();
  dropzone.listen();
  byId("open-camera").addEventListener("click", () => void camera().then((part) => part.open()));
  document.addEventListener("paste", onPaste);
  followLinks();
  router.onChange(show);
  router.start();
  document.documentElement.classList.remove("is-booting");
  if (matchMedia("(hover: hover)").matches && viewOf(router.current()) === "start") searchbar.focus();
}

void main();
