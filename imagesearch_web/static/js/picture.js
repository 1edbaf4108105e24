// Pictures in the size that is needed, with their place kept before they come.

import { thumbnailAddress, WIDTHS } from "./api.js";
import { h } from "./dom.js";
import { size } from "./i18n.js";

/** What is known of a picture of an index, as the API gives it.
 * @typedef {{image_id: string, image_name?: string, relative_path?: string, width?: number,
 *   height?: number, format?: string, size_bytes?: string, captured_at?: string,
 *   indexed_at?: string, tags?: string[], caption?: string, attributes?: Record<string, string>,
 *   sources?: {relative_path?: string, url?: string, page_url?: string, first_seen_at?: string,
 *   last_seen_at?: string}[]}} Document */

/** A picture's width over its height; 1 where they are not known.
 * @param {Document} image */
export const aspect = ({ width, height }) => (width && height ? width / height : 1);

/** @param {Document} image */
export const nameOf = (image) =>
  image.image_name || image.relative_path || image.image_id.slice(0, 12);

/** @param {Document} image
 * @returns {string} e.g. "640 × 480 · JPEG · 85 kB" */
export const factsOf = (image) =>
  [
    image.width && image.height && `${image.width} × ${image.height}`,
    image.format,
    image.size_bytes && size(image.size_bytes),
  ]
    .filter(Boolean)
    .join(" · ");

/** A stored picture's thumbnail; the browser takes the width it needs.
 * @param {Document} image
 * @param {{index: string, sizes: string, alt?: string, eager?: boolean}} options `sizes` as of img
 * @returns {HTMLImageElement} */
export function thumbnail(image, { index, sizes, alt = "", eager = false }) {
  const ratio = aspect(image);
  const longer = Math.max(image.width ?? 0, image.height ?? 0) || Infinity;
  // A width is that of the longer side; srcset wants that of the picture.
  const candidates = WIDTHS.filter((width, n) => n === 0 || WIDTHS[n - 1] < longer).map((width) => {
    const shown = Math.round(Math.min(width, longer) * Math.min(1, ratio));
    return `${thumbnailAddress("images", image.image_id, width, index)} ${Math.max(1, shown)}w`;
  });
  const element = h("img", {
    alt,
    width: image.width,
    height: image.height,
    loading: eager ? null : "lazy",
    decoding: "async",
    sizes,
    srcset: candidates.join(", "),
    src: thumbnailAddress("images", image.image_id, 256, index),
  });
  return /** @type {HTMLImageElement} */ (element);
}

/** A query's picture: of the index, or one that was sent.
 * @param {import("./state.js").Term} term
 * @param {{index: string, width: number, alt?: string}} options
 * @returns {HTMLImageElement} */
export function queryPicture(term, { index, width, alt = "" }) {
  const kind = term.kind === "image" ? "images" : "query-images";
  const src = thumbnailAddress(kind, term.value, width, kind === "images" ? index : undefined);
  return /** @type {HTMLImageElement} */ (h("img", { alt, decoding: "async", src }));
}
