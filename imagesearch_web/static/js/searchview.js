// The view of a search: what is looked for, filters, results, and what there is to say of them.

import { byId, fill, h, icon } from "./dom.js";
import * as filterbar from "./filterbar.js";
import { number, t } from "./i18n.js";
import { problemCard, say } from "./messages.js";
import * as recent from "./recent.js";
import { Results } from "./results.js";
import { Search } from "./search.js";
import { allTerms } from "./state.js";
import * as terms from "./terms.js";

/** @typedef {import("./state.js").State} State */

/** How far below the window the next page is fetched. */
const AHEAD = "1200px";

/** @type {Results} */
export let results;
/** @type {Search} */
let search;
let began = 0;
/** @type {(() => void)[]} */
const listeners = [];

/** @param {() => void} listener called when results have come */
export const onResults = (listener) => listeners.push(listener);

/** Wires the view up. */
export function listen() {
  results = new Results(byId("results"));
  search = new Search({ onStart, onPage, onError, onEnd });
  const ahead = new IntersectionObserver(
    (entries) => entries.some((entry) => entry.isIntersecting) && search.more(),
    { rootMargin: AHEAD },
  );
  ahead.observe(byId("sentinel"));
  byId("more").addEventListener("click", () => search.more());
}

/** @param {State} state
 * @param {boolean} isShown the search is what the page shows */
export function show(state, isShown) {
  if (!isShown) return;
  terms.show(state);
  filterbar.show(state);
  search.start(state);
}

/** Ends the search, so that the same one is made anew when it is wanted again. */
export function stop() {
  search.stop();
  results.clear();
}

function onStart() {
  began = performance.now();
  byId("results").classList.add("is-stale");
  byId("found").setAttribute("aria-busy", "true");
  byId("busy").hidden = false;
  byId("more").hidden = true;
}

/** @param {import("./search.js").Answer} answer
 * @param {boolean} first */
function onPage(answer, first) {
  const state = /** @type {State} */ (search.state);
  if (first) {
    settle();
    results.clear();
    scrollTo({ top: 0 }); // another search begins with its best results
    filterbar.setFacets(answer.facets ?? []);
    const words = allTerms(state).filter((_, n) => answer.truncated_terms?.includes(n));
    tell(answer, words.map(({ value }) => value));
    recent.note(state);
    performance.measure("imagesearch:first-page", { start: began });
  }
  results.append(answer.results ?? []);
  for (const listener of listeners) listener();
  const count = number(results.count);
  byId("count").textContent = t("results.shown", { count: results.count });
  byId("more").hidden = search.isDone;
  if (!first) say(t("results.more_shown", { count }));
  // A page may be shorter than the window; the sentinel has then never left it.
  requestAnimationFrame(() => {
    if (byId("sentinel").getBoundingClientRect().top < innerHeight + 400) search.more();
  });
}

function settle() {
  byId("results").classList.remove("is-stale");
  byId("found").setAttribute("aria-busy", "false");
  byId("busy").hidden = true;
  fill(byId("notice"));
}

/** Says what is to be known of the results before they are looked at.
 * @param {import("./search.js").Answer} answer
 * @param {string[]} truncated */
function tell(answer, truncated) {
  const notice = byId("notice");
  const note = (/** @type {string} */ text, /** @type {Node | null} */ more = null) =>
    notice.append(h("div", { class: "note" }, icon("info"), h("p", {}, text), more));
  if (!answer.results?.length) {
    fill(
      notice,
      h(
        "div",
        { class: "nothing" },
        icon("empty"),
        h("h2", {}, t("results.nothing")),
        h("p", {}, t("results.nothing_hint")),
        filterbar.loosen(),
      ),
    );
    say(t("results.nothing"));
    return;
  }
  if (answer.nothing_matches) note(t("results.nothing_matches"));
  for (const text of truncated) note(t("results.truncated", { text: `${text.slice(0, 40)}…` }));
  say(t("results.found", { count: answer.results.length }));
}

/** @param {unknown} error
 * @param {boolean} first */
function onError(error, first) {
  const state = search.state;
  if (!first) {
    const retry = () => {
      card.remove();
      search.more();
    };
    const card = problemCard(error, retry);
    byId("notice-below").replaceChildren(card);
    return;
  }
  settle();
  results.clear();
  byId("count").textContent = "";
  fill(byId("notice"), problemCard(error, () => state && search.start(state, true)));
}

function onEnd() {
  byId("more").hidden = true;
}
