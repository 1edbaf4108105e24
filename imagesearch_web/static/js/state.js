// What is looked for, as a value, and as the query of an address. Pure.

/** @typedef {{left: number, top: number, right: number, bottom: number}} Box fractions of a picture */
/** @typedef {"text" | "image" | "upload" | "url"} Kind */
/** One thing that results should be like or, with a negative weight, unlike.
 * @typedef {{kind: Kind, value: string, weight: number, box: Box | null}} Term */
/** @typedef {{tags: string[], formats: string[], size: string, by: "captured" | "indexed",
 *   from: string, to: string, source: string}} Filters */
/** @typedef {{text: string, terms: Term[], filters: Filters, relevance: number, fold: boolean,
 *   index: string, view: "search" | "collection", show: string, tab: string}} State */

const KINDS = ["text", "image", "upload", "url"];

/** @returns {Filters} */
export const noFilters = () => ({
  tags: [],
  formats: [],
  size: "",
  by: "captured",
  from: "",
  to: "",
  source: "",
});

/** @returns {State} */
export const emptyState = () => ({
  text: "",
  terms: [],
  filters: noFilters(),
  relevance: 0,
  fold: true,
  index: "",
  view: "search",
  show: "",
  tab: "",
});

/** @param {Kind} kind
 * @param {string} value
 * @param {Partial<Term>} [more]
 * @returns {Term} */
export const term = (kind, value, more = {}) => ({ kind, value, weight: 1, box: null, ...more });

/** Everything that is looked for: the text of the search field first.
 * @param {State} state
 * @returns {Term[]} */
export function allTerms(state) {
  const text = state.text.trim();
  return text ? [term("text", text), ...state.terms] : state.terms;
}

/** How many conditions the filters have.
 * @param {Filters} filters */
export function countFilters(filters) {
  const dates = filters.from || filters.to ? 1 : 0;
  const one = [filters.size, filters.source].filter(Boolean).length;
  return filters.tags.length + filters.formats.length + one + dates;
}

/** @param {Term} value
 * @returns {string} e.g. "image;w=-0.5;box=0.1,0.2,0.5,0.6:ID" */
function encodeTerm({ kind, value, weight, box }) {
  const sides = box && [box.left, box.top, box.right, box.bottom].map((side) => +side.toFixed(4));
  const weighted = weight === 1 ? "" : `;w=${+weight.toFixed(2)}`;
  return `${kind}${weighted}${sides ? `;box=${sides.join(",")}` : ""}:${value}`;
}

/** @param {string} encoded
 * @returns {Term | null} null where it is none */
function decodeTerm(encoded) {
  const end = encoded.indexOf(":");
  const [kind, ...options] = encoded.slice(0, end).split(";");
  const value = encoded.slice(end + 1);
  if (end < 0 || !KINDS.includes(kind) || !value) return null;
  const made = term(/** @type {Kind} */ (kind), value);
  for (const option of options) {
    const [name, given] = option.split("=");
    if (name === "w") made.weight = clamp(Number(given), -2, 2) || 1;
    if (name === "box") made.box = decodeBox(given);
  }
  return made;
}

/** @param {string} text
 * @returns {Box | null} */
function decodeBox(text) {
  const sides = String(text).split(",").map(Number);
  if (sides.length !== 4 || sides.some((side) => !(side >= 0 && side <= 1))) return null;
  const [left, top, right, bottom] = sides;
  return left < right && top < bottom ? { left, top, right, bottom } : null;
}

/** @param {number} value
 * @param {number} low
 * @param {number} high */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** @param {State} state
 * @returns {string} the query of an address, with "?" unless empty */
export function encode(state) {
  const query = new URLSearchParams();
  const set = (/** @type {string} */ name, /** @type {string | false} */ value) => {
    if (value) query.append(name, value);
  };
  const { filters } = state;
  set("view", state.view !== "search" && state.view);
  set("q", state.text);
  for (const each of state.terms) set("term", encodeTerm(each));
  for (const tag of filters.tags) set("tag", tag);
  for (const format of filters.formats) set("format", format);
  set("size", filters.size);
  set("by", filters.by !== "captured" && filters.by);
  set("from", filters.from);
  set("to", filters.to);
  set("source", filters.source);
  set("relevance", state.relevance > 0 && String(+state.relevance.toFixed(2)));
  set("fold", !state.fold && "0");
  set("index", state.index);
  set("show", state.show);
  set("tab", state.show !== "" && state.tab);
  const text = query.toString();
  return text && `?${text}`;
}

/** Reads an address; what it does not understand it leaves out.
 * @param {string} search the query of an address
 * @returns {State} */
export function decode(search) {
  const query = new URLSearchParams(search);
  const get = (/** @type {string} */ name) => query.get(name) ?? "";
  const day = (/** @type {string} */ name) =>
    /^\d{4}-\d\d-\d\d$/.test(get(name)) && !Number.isNaN(Date.parse(get(name))) ? get(name) : "";
  return {
    text: get("q"),
    terms: query
      .getAll("term")
      .map(decodeTerm)
      .filter((each) => each !== null)
      .slice(0, 31),
    filters: {
      tags: query.getAll("tag"),
      formats: query.getAll("format"),
      size: ["small", "medium", "large"].includes(get("size")) ? get("size") : "",
      by: get("by") === "indexed" ? "indexed" : "captured",
      from: day("from"),
      to: day("to"),
      source: get("source"),
    },
    relevance: clamp(Number(get("relevance")) || 0, 0, 1),
    fold: get("fold") !== "0",
    index: get("index"),
    view: get("view") === "collection" ? "collection" : "search",
    show: get("show"),
    tab: get("tab"),
  };
}
