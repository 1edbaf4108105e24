// The other forms of a picture: resized, cropped, watermarked, …

import { post } from "./api.js";
import { compare } from "./compare.js";
import { fill, h, icon } from "./dom.js";
import { percent, t } from "./i18n.js";
import { problemCard } from "./messages.js";
import { factsOf, nameOf, thumbnail } from "./picture.js";
import { source as toSource } from "./query.js";
import { relationsInWords } from "./relations.js";
import * as router from "./router.js";

/** @typedef {import("./relations.js").Version} Version */
/** @typedef {{source: import("./state.js").Term, picture: HTMLImageElement,
 *   stage: HTMLElement, reset: () => void}} Query */

/** @param {Query} query
 * @returns {(panel: HTMLElement) => void} */
export const showVersions = (query) => (panel) => {
  void load(query, panel);
};

/** @param {Query} query
 * @param {HTMLElement} panel */
async function load(query, panel) {
  fill(panel, h("p", { class: "loading", role: "status" }, t("versions.looking")));
  try {
    const { index } = router.current();
    const body = { source: toSource(query.source), index: index || undefined };
    const answer = await post("versions", body);
    const versions = /** @type {Version[]} */ (answer.versions ?? []);
    if (!versions.length) {
      fill(panel, h("p", { class: "quiet", role: "status" }, t("versions.none")));
      return;
    }
    const summary = t("versions.found", { count: versions.length });
    const items = versions.map((version) => h("li", {}, entry(version, query)));
    fill(
      panel,
      h("p", { class: "quiet", role: "status" }, summary),
      h("ol", { class: "versions" }, items),
    );
  } catch (error) {
    fill(panel, problemCard(error, () => void load(query, panel)));
  }
}

/** @param {Version} version
 * @param {Query} query */
function entry(version, query) {
  const { image } = version;
  const open = (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    for (const other of button.closest("ol")?.querySelectorAll("button") ?? []) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    const close = () => {
      button.setAttribute("aria-pressed", "false");
      query.reset();
      button.focus();
    };
    fill(query.stage, compare(query.picture, version, close));
    query.stage.scrollIntoView({ block: "nearest" });
  };
  return h(
    "button",
    { type: "button", class: "version", "aria-pressed": "false", onclick: open },
    thumbnail(image, { index: router.current().index, sizes: "96px" }),
    h(
      "span",
      { class: "version-text" },
      h("strong", {}, relationsInWords(version) || t("relation.same")),
      h("span", { class: "quiet" }, `${nameOf(image)} · ${factsOf(image)}`),
      h(
        "span",
        { class: "version-marks" },
        h("span", { class: "mark" }, t("versions.sure", { value: percent(version.confidence ?? 0) })),
        version.largest && h("span", { class: "mark" }, icon("expand"), t("versions.largest")),
        version.earliest && h("span", { class: "mark" }, icon("clock"), t("versions.earliest")),
      ),
    ),
  );
}
