// What is looked for, beside the text of the search field: pictures at the side, texts as chips.

import { byId, fill, h, icon, iconButton } from "./dom.js";
import { number, t } from "./i18n.js";
import { queryPicture } from "./picture.js";
import { region } from "./region.js";
import { allTerms, term } from "./state.js";
import { UNLIKE } from "./tile.js";
import * as router from "./router.js";

/** @typedef {import("./state.js").Term} Term */
/** @typedef {import("./state.js").State} State */

/** Puts other terms in the place of one.
 * @param {Term} old
 * @param {Term[]} by */
function exchange(old, ...by) {
  const terms = router.current().terms.flatMap((each) => (same(each, old) ? by : [each]));
  router.go({ terms });
}

/** @param {Term} a
 * @param {Term} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Shows the terms of a state.
 * @param {State} state */
export function show(state) {
  const pictures = state.terms.filter(({ kind }) => kind !== "text");
  const texts = state.terms.filter(({ kind }) => kind === "text");
  const panel = byId("query");
  panel.hidden = pictures.length === 0;
  fill(byId("query-cards"), pictures.map((each) => card(each, state)));
  const strip = byId("chips");
  strip.hidden = allTerms(state).length === 0;
  fill(strip, texts.map(chip), adder("and", 1), adder("but_not", UNLIKE));
}

/** @param {Term} each
 * @param {State} state */
function card(each, state) {
  const isUrl = each.kind === "url";
  const picture = isUrl
    ? h("div", { class: "card-url" }, icon("link"), h("span", {}, shortened(each.value)))
    : queryPicture(each, { index: state.index, width: 512, alt: t("query.picture") });
  const boxed = isUrl ? null : region(picture, each.box, (box) => exchange(each, { ...each, box }));
  const lost = h("p", { class: "card-lost", hidden: true }, t("problem.query_image_not_found"));
  picture.addEventListener("error", () => {
    lost.hidden = false;
  });
  return h(
    "figure",
    { class: each.weight < 0 ? "card is-unlike" : "card" },
    boxed?.element ?? picture,
    lost,
    h(
      "figcaption",
      { class: "card-tools" },
      likeSwitch(each),
      weightSlider(each),
      boxed &&
        (each.box
          ? iconButton("crop-off", t("region.clear"), () => boxed.clear())
          : iconButton("crop", t("region.select"), () => boxed.select())),
      !isUrl && iconButton("info", t("query.details"), () => look(each)),
      iconButton("close", t("query.remove"), () => exchange(each)),
    ),
  );
}

/** @param {Term} each */
const look = (each) =>
  router.go({ show: each.kind === "image" ? each.value : `upload:${each.value}`, tab: "" });

/** @param {string} url */
const shortened = (url) => url.replace(/^https?:\/\//, "");

/** @param {Term} each */
function chip(each) {
  const label = each.weight < 0 ? "query.unlike" : "query.like";
  return h(
    "div",
    { class: each.weight < 0 ? "chip is-unlike" : "chip", role: "group", "aria-label": t(label) },
    likeSwitch(each),
    h("span", { class: "chip-text" }, each.value),
    weightSlider(each),
    iconButton("close", t("query.remove"), () => exchange(each)),
  );
}

/** @param {Term} each */
function likeSwitch(each) {
  const isUnlike = each.weight < 0;
  const flip = () => exchange(each, { ...each, weight: isUnlike ? 1 : UNLIKE });
  const label = t(isUnlike ? "query.unlike" : "query.like");
  const attributes = { class: "like-switch", "aria-pressed": String(!isUnlike) };
  const title = t("query.flip");
  return h(
    "button",
    { type: "button", title, ...attributes, onclick: flip },
    icon(isUnlike ? "minus" : "plus"),
    h("span", {}, label),
  );
}

/** How much a term counts, 0.1 to 2.
 * @param {Term} each */
function weightSlider(each) {
  const sign = Math.sign(each.weight);
  const onchange = (/** @type {Event} */ event) => {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    exchange(each, { ...each, weight: sign * Number(value) });
  };
  const value = Math.abs(each.weight);
  const range = { type: "range", min: 0.1, max: 2, step: 0.1, class: "weight" };
  const label = t("query.weight");
  const title = `${label}: ${number(value)}`;
  return h("input", { ...range, value, "aria-label": label, title, onchange });
}

/** A field that adds a text to the search.
 * @param {"and" | "but_not"} kind
 * @param {number} weight */
function adder(kind, weight) {
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const { value } = input;
    if (!value.trim()) return;
    router.go({ terms: [...router.current().terms, term("text", value.trim(), { weight })] });
    /** @type {HTMLElement | null} */ (document.querySelector(`.adder.${kind} input`))?.focus();
  };
  const label = t(`query.${kind}`);
  const field = { class: "adder-field", "aria-label": label, placeholder: label, size: 10 };
  const input = /** @type {HTMLInputElement} */ (
    h("input", { type: "text", maxlength: 500, enterkeyhint: "search", ...field })
  );
  return h("form", { class: `adder ${kind}`, onsubmit }, icon(weight < 0 ? "minus" : "plus"), input);
}
