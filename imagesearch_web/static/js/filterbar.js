// The filters, with how many results each value has.

import { byId, fill, h, icon } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { countFilters, noFilters } from "./state.js";
import * as router from "./router.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Filters} Filters */
/** @typedef {{value: string, count: string | number}} FacetValue */

/** @type {Record<string, FacetValue[]>} */
let counts = { format: [], tags: [] };

/** @param {Partial<Filters>} changes */
const filter = (changes) => router.go({ filters: { ...router.current().filters, ...changes } });

/** Wires up what is there all the time. */
export function listen() {
  const slider = byId("relevance");
  slider.addEventListener("input", () => showRelevance(Number(slider.value)));
  slider.addEventListener("change", () => router.go({ relevance: Number(slider.value) }));
  byId("fold").addEventListener("change", () => router.go({ fold: byId("fold").checked }));
  byId("clear-filters").addEventListener("click", () =>
    router.go({ filters: noFilters(), relevance: 0 }),
  );
  for (const name of ["size", "by"]) {
    for (const radio of document.querySelectorAll(`input[name="${name}"]`)) {
      radio.addEventListener("change", () =>
        filter({ [name]: /** @type {HTMLInputElement} */ (radio).value }),
      );
    }
  }
  for (const name of ["from", "to"]) {
    byId(name).addEventListener("change", () => filter({ [name]: byId(name).value }));
  }
  byId("source-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    byId("filter-source").hidePopover();
    filter({ source: byId("source").value.trim() });
  });
  byId("tag-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const field = byId("tag");
    const tag = field.value.trim();
    field.value = "";
    if (tag) filter({ tags: [...new Set([...router.current().filters.tags, tag])] });
  });
  for (const button of document.querySelectorAll(".filter-button")) {
    const popover = byId(button.getAttribute("popovertarget") ?? "");
    popover.addEventListener("beforetoggle", () => place(popover, button));
  }
}

/** Puts a popover under its button. On narrow screens the style sheet puts it at the bottom.
 * @param {HTMLElement} popover
 * @param {Element} button */
function place(popover, button) {
  const { left, bottom } = button.getBoundingClientRect();
  popover.style.setProperty("--left", `${Math.min(left, innerWidth - 300)}px`);
  popover.style.setProperty("--top", `${bottom + 6}px`);
}

/** @param {State} state */
export function show(state) {
  const { filters } = state;
  byId("relevance").value = String(state.relevance);
  showRelevance(state.relevance);
  byId("fold").checked = state.fold;
  byId("clear-filters").hidden = countFilters(filters) === 0 && state.relevance === 0;
  for (const name of /** @type {const} */ (["size", "by"])) {
    const radio = `input[name="${name}"][value="${filters[name]}"]`;
    const found = /** @type {HTMLInputElement | null} */ (document.querySelector(radio));
    if (found) found.checked = true;
  }
  for (const name of /** @type {const} */ (["from", "to", "source"])) {
    byId(name).value = filters[name];
  }
  summarise("tags", filters.tags.join(", "));
  summarise("format", filters.formats.join(", "));
  summarise("size", filters.size && t(`filter.size_${filters.size}`));
  summarise("date", [filters.from, filters.to].filter(Boolean).join(" – "));
  summarise("source", filters.source);
  showCounts();
}

/** @param {number} value */
function showRelevance(value) {
  const text = value > 0 ? percent(value) : t("filter.any");
  byId("relevance-value").textContent = text;
  byId("relevance").setAttribute("aria-valuetext", text);
}

/** Says on a filter's button what it is set to.
 * @param {string} name
 * @param {string} value */
function summarise(name, value) {
  const button = document.querySelector(`[popovertarget="filter-${name}"]`);
  button?.classList.toggle("is-set", value !== "");
  const place = button?.querySelector(".filter-value");
  if (place) place.textContent = value;
}

/** Takes the counts of a search's first page.
 * @param {{field: string, values?: FacetValue[]}[]} facets */
export function setFacets(facets) {
  counts = { format: [], tags: [] };
  for (const { field, values = [] } of facets) counts[field] = values;
  showCounts();
}

function showCounts() {
  const { filters } = router.current();
  fill(byId("tag-values"), choices(counts.tags, filters.tags, (tags) => filter({ tags })));
  fill(byId("format-values"), choices(counts.format, filters.formats, (formats) => filter({ formats })));
}

/** Checkboxes for values: the chosen ones, whether any result has them or not, and those that results have.
 * @param {FacetValue[]} values
 * @param {string[]} chosen
 * @param {(chosen: string[]) => void} onchange */
function choices(values, chosen, onchange) {
  const known = new Set(values.map(({ value }) => value));
  const missing = chosen.filter((value) => !known.has(value)).map((value) => ({ value, count: 0 }));
  const all = [...missing, ...values];
  if (!all.length) return [h("p", { class: "quiet" }, t("filter.none"))];
  return all.map(({ value, count }) => {
    const change = (/** @type {Event} */ event) => {
      const others = chosen.filter((each) => each !== value);
      const { checked } = /** @type {HTMLInputElement} */ (event.target);
      onchange(checked ? [...others, value] : others);
    };
    const checked = chosen.includes(value);
    return h(
      "label",
      { class: "choice" },
      h("input", { type: "checkbox", checked, onchange: change }),
      h("span", { class: "choice-name" }, value),
      h("span", { class: "choice-count" }, number(Number(count))),
    );
  });
}

/** An offer to search with fewer conditions, where nothing was found.
 * @returns {HTMLElement | null} */
export function loosen() {
  const state = router.current();
  if (countFilters(state.filters) === 0 && state.relevance === 0) return null;
  const onclick = () => router.go({ filters: noFilters(), relevance: 0 });
  return h("button", { type: "button", class: "button", onclick }, icon("close"), t("filter.clear"));
}
