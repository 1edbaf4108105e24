// One result in the grid.

import { h, icon, iconButton } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { aspect, factsOf, nameOf, thumbnail } from "./picture.js";
import { clamp, term } from "./state.js";
import * as router from "./router.js";

/** @typedef {{image: import("./picture.js").Document, score?: number, relevance?: number,
 *   folded_image_ids?: string[], explanation?: {term?: number, similarity?: number,
 *   contribution?: number}[]}} Result */

/** How much "less like this" counts against what is looked for. */
export const UNLIKE = -0.5;

/** Height of a row of the grid in CSS pixels, as in the style sheet. */
const ROW = 220;

/** Very wide and very high pictures are cut at their edges.
 * @param {import("./picture.js").Document} image */
const shownAspect = (image) => clamp(aspect(image), 0.5, 2.6);

/** @param {Result} result
 * @param {{eager?: boolean, tools?: boolean}} [options]
 * @returns {HTMLElement} a list item */
export function tile(result, { eager = false, tools = true } = {}) {
  const { image } = result;
  const state = router.current();
  const ratio = shownAspect(image);
  const folded = result.folded_image_ids?.length ?? 0;
  const picture = thumbnail(image, {
    index: state.index,
    sizes: `(max-width: 40rem) 50vw, ${Math.round(ROW * 1.15 * ratio)}px`,
    eager,
  });
  picture.addEventListener("error", () => item.classList.add("is-broken"), { once: true });
  const item = h(
    "li",
    { class: "tile", "data-id": image.image_id, style: { "--ar": ratio.toFixed(4) } },
    h(
      "a",
      { class: "tile-link", href: router.address(alike(image)), "aria-label": label(result) },
      picture,
    ),
    h("p", { class: "tile-caption", "aria-hidden": "true" }, caption(result)),
    tools && h("div", { class: "tile-tools" }, toolsOf(image)),
    folded > 0 && foldBadge(image, folded),
  );
  return item;
}

/** The state that looks for what is like a picture.
 * @param {import("./picture.js").Document} image */
export function alike(image) {
  const state = router.current();
  return { ...state, text: "", terms: [term("image", image.image_id)], show: "", tab: "" };
}

/** @param {Result} result */
function label({ image, relevance, score }) {
  const facts = [nameOf(image), image.caption, factsOf(image)];
  if (relevance !== undefined) facts.push(t("tile.relevance", { value: percent(relevance) }));
  else if (score !== undefined) facts.push(t("tile.score", { value: number(score) }));
  return t("tile.label", { facts: facts.filter(Boolean).join(", ") });
}

/** @param {Result} result */
function caption({ image, relevance }) {
  const meter =
    relevance !== undefined &&
    h("span", { class: "meter", style: { "--value": clamp(relevance, 0, 1) } });
  return [h("span", { class: "tile-name" }, nameOf(image)), meter];
}

/** @param {import("./picture.js").Document} image */
function toolsOf(image) {
  const add = (/** @type {number} */ weight) => {
    const { terms } = router.current();
    const others = terms.filter((each) => each.value !== image.image_id);
    router.go({ terms: [...others, term("image", image.image_id, { weight })], show: "" });
  };
  return [
    iconButton("plus", t("tile.more_like"), () => add(1)),
    iconButton("minus", t("tile.less_like"), () => add(UNLIKE)),
    iconButton("info", t("tile.details"), () => router.go({ show: image.image_id, tab: "" })),
  ];
}

/** @param {import("./picture.js").Document} image
 * @param {number} count */
function foldBadge(image, count) {
  const text = t("tile.folded", { count });
  const open = () => router.go({ show: image.image_id, tab: "folded" });
  const attributes = { type: "button", class: "fold", title: text, "aria-label": text };
  return h("button", { ...attributes, onclick: open }, icon("stack"), `+${number(count)}`);
}
