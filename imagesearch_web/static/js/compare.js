// Two versions of a picture: one laid over the other behind a slider, or beside it with boxes.

import { h, setProperties } from "./dom.js";
import { overlayTransform } from "./geometry.js";
import { t } from "./i18n.js";
import { nameOf, thumbnail } from "./picture.js";
import { relationsInWords, whole } from "./relations.js";
import { tabs } from "./tabs.js";
import * as router from "./router.js";

/** @typedef {import("./relations.js").Version} Version */
/** @typedef {import("./state.js").Box} Box */

/** @param {HTMLImageElement} picture of the query
 * @param {Version} version
 * @param {() => void} onclose
 * @returns {HTMLElement} */
export function compare(picture, version, onclose) {
  const all = [
    { id: "over", label: t("compare.over"), show: over(picture, version) },
    { id: "beside", label: t("compare.beside"), show: beside(picture, version) },
  ];
  return h(
    "div",
    { class: "compare" },
    h(
      "div",
      { class: "compare-head" },
      h("p", {}, relationsInWords(version)),
      h("button", { type: "button", class: "text-button", onclick: onclose }, t("compare.close")),
    ),
    tabs(t("compare.title"), all, "over", () => {}),
  );
}

/** @param {HTMLImageElement} picture
 * @param {string} alt */
function copyOf(picture, alt) {
  const copy = /** @type {HTMLImageElement} */ (picture.cloneNode());
  copy.alt = alt;
  copy.loading = "eager";
  return copy;
}

/** @param {Version} version */
const pictureOf = (version) =>
  thumbnail(version.image, {
    index: router.current().index,
    sizes: "(max-width: 60rem) 100vw, 50vw",
    alt: nameOf(version.image),
    eager: true,
  });

/** @param {HTMLImageElement} picture
 * @param {Version} version
 * @returns {(panel: HTMLElement) => void} */
const over = (picture, version) => (panel) => {
  const under = copyOf(picture, t("compare.this"));
  const laid = pictureOf(version);
  const cut = h("div", { class: "over-cut" }, laid);
  const frame = h(
    "div",
    { class: "over" },
    under,
    cut,
    h("span", { class: "over-line", "aria-hidden": "true" }),
    h("span", { class: "over-name is-before", "aria-hidden": "true" }, t("compare.this")),
    h("span", { class: "over-name is-after", "aria-hidden": "true" }, t("compare.other")),
  );
  const slider = /** @type {HTMLInputElement} */ (
    h("input", {
      type: "range",
      class: "over-slider",
      min: 0,
      max: 100,
      value: 50,
      "aria-label": t("compare.slider"),
      oninput: () => setProperties(frame, { "--cut": `${slider.value}%` }),
    })
  );
  frame.append(slider);
  const align = () => {
    const { width, height } = frame.getBoundingClientRect();
    if (!width || !height) return;
    laid.style.transform = overlayTransform(version.homography ?? [], width, height);
  };
  new ResizeObserver(align).observe(frame);
  panel.replaceChildren(frame);
};

/** @param {HTMLImageElement} picture
 * @param {Version} version
 * @returns {(panel: HTMLElement) => void} */
const beside = (picture, version) => (panel) => {
  const changed = (version.changed_boxes ?? []).map(whole).filter((box) => box !== null);
  panel.replaceChildren(
    h(
      "div",
      { class: "beside" },
      boxed(copyOf(picture, t("compare.this")), t("compare.this"), whole(version.query_box), []),
      boxed(pictureOf(version), t("compare.other"), whole(version.image_box), changed),
    ),
    h(
      "p",
      { class: "legend" },
      h("span", { class: "legend-shared" }, t("compare.shared")),
      changed.length > 0 && h("span", { class: "legend-changed" }, t("compare.changed")),
    ),
  );
};

/** @param {HTMLImageElement} picture
 * @param {string} name
 * @param {Box | null} shared part that the other shows too
 * @param {Box[]} changed */
function boxed(picture, name, shared, changed) {
  const box = (/** @type {Box} */ { left, top, right, bottom }, /** @type {string} */ kind) => {
    const share = (/** @type {number} */ value) => `${value * 100}%`;
    const sides = { left: share(left), top: share(top) };
    const size = { width: share(right - left), height: share(bottom - top) };
    return h("span", { class: `box ${kind}`, style: { ...sides, ...size } });
  };
  return h(
    "figure",
    {},
    h(
      "div",
      { class: "boxed" },
      picture,
      shared && box(shared, "is-shared"),
      changed.map((each) => box(each, "is-changed")),
    ),
    h("figcaption", {}, name),
  );
}
