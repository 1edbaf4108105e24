// What went wrong, in words for a person.

import { Problem } from "./api.js";
import { t } from "./i18n.js";

/** Messages by the reason the server gives, and by its status. */
const BY_REASON = {
  SERVER_AWAY: "problem.away",
  URL_FORBIDDEN: "problem.url_forbidden",
  URL_NOT_FETCHED: "problem.url_not_fetched",
  IMAGE_TOO_LARGE: "problem.too_large",
  DOCUMENT_NOT_FOUND: "problem.image_not_found",
  IMAGE_NOT_FOUND: "problem.image_not_found",
  QUERY_IMAGE_NOT_FOUND: "problem.query_image_not_found",
  INDEX_NOT_FOUND: "problem.no_index",
  STORE_FULL: "problem.full",
};
const BY_STATUS = {
  0: "problem.away",
  400: "problem.invalid",
  401: "problem.key",
  403: "problem.forbidden",
  404: "problem.not_found",
  413: "problem.too_large",
  415: "problem.bad_image",
  429: "problem.busy",
  501: "problem.unsupported",
  502: "problem.part_away",
  503: "problem.part_away",
  504: "problem.slow",
};

/** @param {unknown} error
 * @returns {string} */
export function inWords(error) {
  if (!(error instanceof Problem)) return t("problem.unexpected");
  const byReason = /** @type {Record<string, string>} */ (BY_REASON)[error.reason];
  if (byReason) return t(byReason);
  if (error.reason.startsWith("IMAGE_")) return t("problem.bad_image");
  if (/PAGE_TOKEN|POINT_IN_TIME/.test(error.reason)) return t("problem.old_page");
  return t(/** @type {Record<number, string>} */ (BY_STATUS)[error.status] ?? "problem.unexpected");
}

/** What the server said, for who wants to know.
 * @param {unknown} error */
export function inDetail(error) {
  if (!(error instanceof Problem)) return String(error);
  const fields = error.violations.map(({ field, description }) => `${field}: ${description}`);
  return [error.reason, error.message, ...fields].filter(Boolean).join("\n");
}
