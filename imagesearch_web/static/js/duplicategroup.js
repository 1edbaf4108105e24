// One group of duplicates: which to keep, which to delete.

import { deleteLater, isHidden, onVisibility } from "./deletion.js";
import { fill, h, icon } from "./dom.js";
import { size, t } from "./i18n.js";
import { aspect, factsOf, nameOf, thumbnail } from "./picture.js";
import { relationInWords } from "./relations.js";
import { clamp } from "./state.js";
import * as router from "./router.js";

/** @typedef {{image: import("./picture.js").Document, relation?: string, confidence?: number}} Member */
/** @typedef {{images: Member[], keep_image_id: string, reclaimable_bytes?: string}} Group */

/** @param {Group} found
 * @returns {HTMLElement} a list item */
export function group(found) {
  const keep = new Set([found.keep_image_id]);
  const members = found.images.map((each) => {
    const button = member(each);
    button.addEventListener("click", () => {
      const { image_id: id } = each.image;
      if (keep.has(id)) keep.delete(id);
      else keep.add(id);
      show();
    });
    return { each, button };
  });
  const action = /** @type {HTMLButtonElement} */ (
    h("button", { type: "button", class: "button is-danger" })
  );
  const dismiss = h("button", { type: "button", class: "text-button" }, t("duplicates.keep_all"));
  const item = h(
    "li",
    { class: "group" },
    h("div", { class: "group-members" }, members.map(({ button }) => button)),
    h("div", { class: "group-actions" }, dismiss, action),
  );
  const doomed = () => members.filter(({ each }) => !keep.has(each.image.image_id));

  const show = () => {
    for (const { each, button } of members) mark(button, keep.has(each.image.image_id));
    const bytes = doomed().reduce((sum, { each }) => sum + Number(each.image.size_bytes ?? 0), 0);
    action.disabled = doomed().length === 0;
    const text = t("duplicates.delete", { count: doomed().length, bytes: size(bytes) });
    fill(action, icon("trash"), h("span", {}, text));
  };
  action.addEventListener("click", () =>
    deleteLater(doomed().map(({ each }) => each.image.image_id), router.current().index),
  );
  dismiss.addEventListener("click", () => item.remove());
  onVisibility(() => {
    item.hidden = members.some(({ each }) => isHidden(each.image.image_id));
  });
  show();
  return item;
}

/** @param {Member} each */
function member({ image, relation }) {
  const { index } = router.current();
  return h(
    "button",
    { type: "button", class: "member", style: { "--ar": clamp(aspect(image), 0.5, 2) } },
    thumbnail(image, { index, sizes: "220px" }),
    h("span", { class: "member-mark" }),
    h(
      "span",
      { class: "member-text" },
      h("strong", {}, nameOf(image)),
      h("span", { class: "quiet" }, factsOf(image)),
      h("span", { class: "quiet" }, relationInWords(relation)),
    ),
  );
}

/** @param {HTMLElement} button
 * @param {boolean} isKept */
function mark(button, isKept) {
  button.setAttribute("aria-pressed", String(isKept));
  button.classList.toggle("is-doomed", !isKept);
  const place = /** @type {HTMLElement} */ (button.querySelector(".member-mark"));
  fill(place, icon(isKept ? "check" : "trash"), t(isKept ? "duplicates.kept" : "duplicates.doomed"));
}
