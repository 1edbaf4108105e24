// One picture, large: what is known of it, its other versions, what it shows.

import { get, originalAddress } from "./api.js";
import { byId, fill, h, icon } from "./dom.js";
import { deleteLater } from "./deletion.js";
import { about, folded } from "./facts.js";
import { t } from "./i18n.js";
import { problemCard, toast } from "./messages.js";
import { nameOf, queryPicture, thumbnail } from "./picture.js";
import { region } from "./region.js";
import { onResults, results } from "./searchview.js";
import { term } from "./state.js";
import { tabs } from "./tabs.js";
import { showVersions } from "./versions.js";
import { showWhatIsIt } from "./whatis.js";
import * as router from "./router.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Term} Term */
/** @typedef {import("./tile.js").Result} Result */

let shown = "";
let opened = 0;

/** Wires the dialog up. */
export function listen() {
  const dialog = byId("detail");
  dialog.addEventListener("close", () => {
    const { show } = router.current();
    if (show) router.leave({ show: "", tab: "" });
    results.focus(show);
  });
  dialog.addEventListener("click", (/** @type {Event} */ event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const isField = /** @type {Element} */ (event.target).closest("input, select, .region-box");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && !isField) turn(step);
  });
  onResults(showArrows);
  byId("detail-before").addEventListener("click", () => turn(-1));
  byId("detail-after").addEventListener("click", () => turn(1));
}

/** @param {number} step */
function turn(step) {
  const next = results.neighbour(shown, step);
  if (next) router.replace({ show: next });
}

function showArrows() {
  byId("detail-before").hidden = results.neighbour(shown, -1) === undefined;
  byId("detail-after").hidden = results.neighbour(shown, 1) === undefined;
}

/** @param {State} state */
export function show(state) {
  const dialog = byId("detail");
  if (!state.show || state.view !== "search") {
    shown = "";
    if (dialog.open) dialog.close();
    return;
  }
  if (!dialog.open) dialog.showModal();
  if (shown === state.show) return;
  shown = state.show;
  showArrows();
  if (state.show.startsWith("upload:")) {
    const upload = term("upload", state.show.slice("upload:".length));
    showPicture(upload, queryPicture(upload, { index: "", width: 1024 }), null);
  } else {
    void showStored(state);
  }
}

/** @param {State} state */
async function showStored(state) {
  const id = state.show;
  opened += 1;
  const mine = opened;
  let result = results.find(id);
  try {
    result ??= await get(`images/${encodeURIComponent(id)}`, { index: state.index });
  } catch (error) {
    if (mine !== opened || shown !== id) return;
    fill(byId("detail-title"), t("detail.missing"));
    fill(byId("detail-stage"));
    fill(byId("detail-actions"));
    fill(byId("detail-panel"), problemCard(error));
    return;
  }
  if (mine !== opened || shown !== id || !result) return;
  const sizes = "(max-width: 60rem) 100vw, 60vw";
  const { image } = result;
  const picture = thumbnail(image, { index: state.index, sizes, alt: nameOf(image), eager: true });
  showPicture(term("image", id), picture, result);
}

/** @param {Term} source
 * @param {HTMLImageElement} picture
 * @param {Result | null} result null for a picture that is not in the index */
function showPicture(source, picture, result) {
  const state = router.current();
  const stage = byId("detail-stage");
  const title = result ? nameOf(result.image) : t("query.picture");
  byId("detail-title").textContent = title;
  const boxed = region(picture, null, (box) => {
    if (box) router.go({ text: "", terms: [{ ...source, box }], show: "", tab: "" });
  });
  const reset = () => fill(stage, boxed.element);
  reset();
  fill(byId("detail-actions"), actions(source, result, () => boxed.select()));
  const query = { source, picture, result, stage, reset };
  const several = (result?.folded_image_ids?.length ?? 0) > 0;
  const all = [
    result && { id: "about", label: t("tab.about"), show: about(result) },
    several && result && { id: "folded", label: t("tab.folded"), show: folded(result) },
    { id: "versions", label: t("tab.versions"), show: showVersions(query) },
    { id: "what", label: t("tab.what"), show: showWhatIsIt(source) },
  ].filter((each) => each !== null && each !== false);
  const onchange = (/** @type {string} */ tab) => {
    if (tab !== "versions") reset();
    router.replace({ tab: tab === all[0].id ? "" : tab });
  };
  fill(byId("detail-panel"), tabs(title, all, state.tab, onchange));
}

/** @param {Term} source
 * @param {Result | null} result
 * @param {() => void} selectPart */
function actions(source, result, selectPart) {
  const { index } = router.current();
  const searchBy = () => router.go({ text: "", terms: [source], show: "", tab: "" });
  const action = (
    /** @type {string} */ name,
    /** @type {string} */ key,
    /** @type {() => void} */ onclick,
    kind = "button",
  ) => h("button", { type: "button", class: kind, onclick }, icon(name), h("span", {}, t(key)));
  const image = result?.image;
  return [
    action("search", "detail.search", searchBy, "button is-primary"),
    action("crop", "region.select", selectPart),
    image &&
      h(
        "a",
        { class: "button", href: originalAddress(image.image_id, index), download: nameOf(image) },
        icon("download"),
        h("span", {}, t("detail.download")),
      ),
    image && action("copy", "detail.copy_id", () => copy(image.image_id, "detail.id_copied")),
    action("link", "detail.copy_link", () => copy(location.href, "detail.link_copied")),
    image && action("trash", "detail.delete", () => discard(image.image_id), "button is-danger"),
  ];
}

/** @param {string} text
 * @param {string} said */
async function copy(text, said) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t(said));
  } catch {
    toast(t("detail.not_copied", { text }), { isError: true });
  }
}

/** @param {string} id */
function discard(id) {
  byId("detail").close();
  deleteLater([id], router.current().index);
}
