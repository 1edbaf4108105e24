// What two pictures are to each other, in words.

import { number, t } from "./i18n.js";

/** @typedef {import("./state.js").Box} Box */
/** An image proven to be the same picture, as the API gives it.
 * @typedef {{image: import("./picture.js").Document, relation?: string, relations?: string[],
 *   confidence?: number, query_overlap?: number, image_overlap?: number, query_box?: Partial<Box>,
 *   image_box?: Partial<Box>, changed_boxes?: Partial<Box>[], rotation_degrees?: number,
 *   homography?: number[], score?: number, largest?: boolean, earliest?: boolean}} Version */

/** @param {string | undefined} relation e.g. "RELATION_CROPPED"
 * @param {number} [degrees]
 * @returns {string} "" where there is none */
export function relationInWords(relation, degrees = 0) {
  const name = (relation ?? "").replace("RELATION_", "").toLowerCase();
  if (!name || name === "unspecified") return "";
  return t(`relation.${name}`, { degrees: number(Math.round(degrees)) });
}

/** All that a version is, as one line.
 * @param {Version} version */
export function relationsInWords(version) {
  const all = version.relations?.length ? version.relations : [version.relation];
  return all
    .map((relation) => relationInWords(relation, version.rotation_degrees))
    .filter(Boolean)
    .join(t("relation.separator"));
}

/** A box with all its sides: the API leaves out what is 0.
 * @param {Partial<Box> | undefined} box
 * @returns {Box | null} */
export function whole(box) {
  if (!box) return null;
  const { left = 0, top = 0, right = 0, bottom = 0 } = box;
  return right > left && bottom > top ? { left, top, right, bottom } : null;
}
