// The first view: what was searched before, and a look at the collection.

import { get, post, Problem, wasAborted } from "./api.js";
import { byId, fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { problemCard } from "./messages.js";
import * as recent from "./recent.js";
import { Results } from "./results.js";

const WALL = 30;

/** @type {Results} */
let wall;
/** @type {AbortController | null} */
let running = null;
let shownIndex = "";

/** @param {import("./state.js").State} state */
export function show(state) {
  recent.show(byId("recent"));
  wall ??= new Results(byId("wall"));
  if (wall.count && shownIndex === state.index) return;
  void load(state.index);
}

/** Gives up what is under way. */
export const hide = () => running?.abort();

/** @param {string} index */
async function load(index) {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const notice = byId("start-notice");
  try {
    const body = {
      terms: [{ text: t("start.any_picture") }],
      index: index || undefined,
      k: WALL,
      fold_versions: true,
    };
    const answer = await post("search", body, { signal });
    fill(notice, answer.results?.length ? null : empty());
    wall.clear();
    wall.append(answer.results ?? [], { tools: false });
    byId("wall-title").hidden = wall.count === 0;
    shownIndex = index;
  } catch (error) {
    if (wasAborted(error)) return;
    const isMissing = error instanceof Problem && error.status === 404;
    fill(notice, isMissing && !index ? empty() : problemCard(error, () => void load(index)));
    wall.clear();
    byId("wall-title").hidden = true;
  }
}

function empty() {
  return h(
    "div",
    { class: "nothing" },
    h("h2", {}, t("start.empty")),
    h("p", {}, t("start.empty_hint")),
    h("a", { class: "button is-primary", href: "?view=collection" }, t("start.add")),
  );
}

/** Says in the page's corner how many pictures there are.
 * @param {string} index */
export async function showCount(index) {
  try {
    const status = await get("status", { index });
    const count = Number(status.index?.document_count ?? 0);
    byId("start-count").textContent = count ? t("start.count", { count }) : "";
  } catch {
    byId("start-count").textContent = ""; // the search says what is wrong
  }
}
