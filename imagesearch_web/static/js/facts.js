// What is known of a picture.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { date, number, percent, size, t } from "./i18n.js";
import { allTerms } from "./state.js";
import { tile } from "./tile.js";
import * as router from "./router.js";

/** @typedef {import("./tile.js").Result} Result */

/** @param {Result} result
 * @returns {(panel: HTMLElement) => void} */
export const about = (result) => (panel) => {
  const { image, score, relevance } = result;
  const facts = [
    ["fact.score", score !== undefined && number(score, { maximumFractionDigits: 3 })],
    ["fact.relevance", relevance !== undefined && percent(relevance)],
    ["fact.pixels", image.width && image.height && `${image.width} × ${image.height}`],
    ["fact.size", image.size_bytes && size(image.size_bytes)],
    ["fact.format", image.format],
    ["fact.captured", image.captured_at && date(image.captured_at)],
    ["fact.indexed", image.indexed_at && date(image.indexed_at)],
    ["fact.path", image.relative_path],
    ...Object.entries(image.attributes ?? {}).map(([name, value]) => [name, value]),
  ].filter(([, value]) => value);
  fill(
    panel,
    image.caption && h("p", { class: "caption" }, image.caption),
    h("dl", { class: "facts" }, facts.map(([key, value]) => fact(String(key), String(value)))),
    explanation(result),
    tagList(image.tags ?? []),
    sources(image),
    h("p", { class: "id" }, h("span", { class: "quiet" }, t("fact.id")), h("code", {}, image.image_id)),
  );
};

/** @param {string} key
 * @param {string} value */
const fact = (key, value) =>
  h("div", {}, h("dt", {}, key.startsWith("fact.") ? t(key) : key), h("dd", {}, value));

/** What each term gave to the score.
 * @param {Result} result */
function explanation({ explanation: scores = [] }) {
  const terms = allTerms(router.current());
  if (scores.length < 2) return null;
  const most = Math.max(...scores.map(({ contribution = 0 }) => Math.abs(contribution)), 1e-6);
  return h(
    "section",
    {},
    h("h3", {}, t("fact.why")),
    h(
      "ul",
      { class: "bars" },
      scores.map(({ term = 0, contribution = 0 }) => {
        const of = terms[term];
        const name = of?.kind === "text" ? of.value : t("query.picture_number", { count: term + 1 });
        return bar(name, Math.abs(contribution) / most, signed(contribution), contribution < 0);
      }),
    ),
  );
}

/** @param {number} value */
const signed = (value) => number(value, { maximumFractionDigits: 3, signDisplay: "always" });

/** A name, a bar as long as its value, and the value in words.
 * @param {string} name
 * @param {number} value 0 to 1
 * @param {string} text
 * @param {boolean} [isNegative] */
export function bar(name, value, text, isNegative = false) {
  return h(
    "li",
    { class: isNegative ? "bar is-negative" : "bar" },
    h("span", { class: "bar-name" }, name),
    h("span", { class: "bar-value" }, text),
    h("span", { class: "meter", style: { "--value": value } }),
  );
}

/** @param {string[]} tags */
function tagList(tags) {
  if (!tags.length) return null;
  const link = (/** @type {string} */ tag) => {
    const state = router.current();
    const filters = { ...state.filters, tags: [...new Set([...state.filters.tags, tag])] };
    const href = router.address({ ...state, filters, show: "", tab: "" });
    return h("li", {}, h("a", { class: "tag", href }, tag));
  };
  return h("section", {}, h("h3", {}, t("fact.tags")), h("ul", { class: "tags" }, tags.map(link)));
}

/** Where it was seen. Addresses of others are links only if they are of the web.
 * @param {import("./picture.js").Document} image */
function sources({ sources: all = [] }) {
  const shown = all.filter(({ url, page_url }) => url || page_url);
  if (!shown.length) return null;
  return h(
    "section",
    {},
    h("h3", {}, t("fact.sources")),
    h(
      "ul",
      { class: "sources" },
      shown.map((source) =>
        h(
          "li",
          {},
          link(source.page_url || source.url || ""),
          source.first_seen_at &&
            h("span", { class: "quiet" }, t("fact.first_seen", { date: date(source.first_seen_at) })),
        ),
      ),
    ),
  );
}

/** @param {string} url */
export function link(url) {
  if (!/^https?:\/\//i.test(url)) return h("span", {}, url);
  const safe = { target: "_blank", rel: "noopener noreferrer nofollow" };
  return h("a", { href: url, ...safe }, url.replace(/^https?:\/\//, ""));
}

/** The near-identical pictures that a result stands for.
 * @param {Result} result
 * @returns {(panel: HTMLElement) => Promise<void>} */
export const folded = (result) => async (panel) => {
  const { index } = router.current();
  const list = h("ol", { class: "grid is-small" });
  fill(panel, h("p", { class: "quiet" }, t("tab.folded_hint")), list);
  const ids = result.folded_image_ids ?? [];
  const found = await Promise.allSettled(ids.map((id) => get(`images/${id}`, { index })));
  for (const each of found) {
    if (each.status === "fulfilled") list.append(tile(each.value, { tools: false }));
  }
};

