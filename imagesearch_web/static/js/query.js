// A search as the API takes it. Pure.

import { allTerms } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Term} Term */
/** @typedef {import("./state.js").Filters} Filters */

/** Results in all, and in one answer. */
export const RESULTS = 1000;
export const PAGE = 48;

/** @type {Record<import("./state.js").Kind, string>} */
const SOURCE = { text: "text", image: "image_id", upload: "query_image_id", url: "url" };

/** Pixels of the longer side: from where on a picture is medium, and large. */
const MEDIUM = 500;
const LARGE = 1500;

/** @param {State} state
 * @param {string} [pageToken] of the page before
 * @returns {Record<string, unknown>} a SearchImagesRequest */
export function searchRequest(state, pageToken = "") {
  const terms = allTerms(state).map(toTerm);
  const request = {
    terms,
    index: state.index || undefined,
    k: RESULTS,
    page_size: PAGE,
    page_token: pageToken || undefined,
    filter: toFilter(state.filters),
    facets: ["format", "tags"],
    with_relevance: true,
    min_relevance: state.relevance || undefined,
    fold_versions: state.fold,
    explain: terms.length > 1,
  };
  return request;
}

/** A term's picture as /versions, /classify and /identify take it.
 * @param {Term} term */
export const source = (term) => ({ [SOURCE[term.kind]]: term.value });

/** @param {Term} term */
function toTerm(term) {
  return {
    ...source(term),
    weight: term.weight === 1 ? undefined : term.weight,
    region: term.box ? { box: term.box } : undefined,
  };
}

/** @param {Filters} filters
 * @returns {object | undefined} a Filter; undefined for none */
export function toFilter(filters) {
  const all = [
    // Pictures with every one of the tags, but with any of the formats.
    ...filters.tags.map((tag) => equals("tags", [tag])),
    filters.formats.length ? equals("format", filters.formats) : null,
    sizeFilter(filters.size),
    dateFilter(filters),
    filters.source ? sourceFilter(filters.source) : null,
  ].filter((each) => each !== null);
  if (!all.length) return undefined;
  return all.length === 1 ? all[0] : { all_of: { filters: all } };
}

/** @param {string} field
 * @param {string[]} values */
const equals = (field, values) => ({ terms: { field, values: values.map((text) => ({ text })) } });

/** @param {"gte" | "lt"} bound
 * @param {number} pixels */
const sides = (bound, pixels) =>
  ["width", "height"].map((field) => ({ range: { field, [bound]: { number: pixels } } }));

/** @param {string} size */
function sizeFilter(size) {
  const smaller = (/** @type {number} */ pixels) => sides("lt", pixels);
  const atLeast = (/** @type {number} */ pixels) => ({ any_of: { filters: sides("gte", pixels) } });
  if (size === "small") return { all_of: { filters: smaller(MEDIUM) } };
  if (size === "medium") return { all_of: { filters: [...smaller(LARGE), atLeast(MEDIUM)] } };
  return size === "large" ? atLeast(LARGE) : null;
}

/** Whole days of UTC, the last one included.
 * @param {Filters} filters */
function dateFilter({ by, from, to }) {
  if (!from && !to) return null;
  const after = to ? new Date(Date.parse(to) + 86_400_000).toISOString() : "";
  return {
    range: {
      field: `${by}_at`,
      gte: from ? { time: `${from}T00:00:00Z` } : undefined,
      lt: after ? { time: after.replace(".000Z", "Z") } : undefined,
    },
  };
}

/** Where a picture is from: a folder, or the address of it or of its page.
 * @param {string} prefix */
const sourceFilter = (prefix) => ({
  any_of: {
    filters: ["relative_path", "sources.relative_path", "sources.url", "sources.page_url"].map(
      (field) => ({ prefix: { field, prefix } }),
    ),
  },
});
