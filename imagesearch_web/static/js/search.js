// Runs searches: a newer one ends an older one, pages follow one another.

import { post, wasAborted } from "./api.js";
import { searchRequest } from "./query.js";
import { allTerms, encode } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {{results?: import("./tile.js").Result[], facets?: {field: string,
 *   values?: {value: string, count: string}[]}[], next_page_token?: string,
 *   truncated_terms?: number[], nothing_matches?: boolean}} Answer */
/** @typedef {{onStart: (state: State) => void, onPage: (answer: Answer, first: boolean) => void,
 *   onError: (error: unknown, first: boolean) => void, onEnd: () => void}} Handlers */

/** What a search depends on: the state without what is shown over it.
 * @param {State} state */
export const keyOf = (state) => encode({ ...state, view: "search", show: "", tab: "" });

export class Search {
  /** @param {Handlers} handlers */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {State | null} */
    this.state = null;
    this.pageToken = "";
    this.isDone = true;
    /** @type {AbortController | null} */
    this.running = null;
  }

  /** Searches, unless it is what was searched last.
   * @param {State} state
   * @param {boolean} [again] in any case */
  start(state, again = false) {
    if (!again && this.state && keyOf(this.state) === keyOf(state)) return;
    this.stop();
    this.state = state;
    this.pageToken = "";
    this.isDone = allTerms(state).length === 0;
    if (this.isDone) return;
    this.handlers.onStart(state);
    void this.#fetch(true);
  }

  /** Fetches the next page, if there is one and none is under way. */
  more() {
    if (!this.isDone && !this.running && this.state) void this.#fetch(false);
  }

  /** Gives up what is under way, and forgets what was searched. */
  stop() {
    this.running?.abort();
    this.running = null;
    this.state = null;
    this.isDone = true;
  }

  /** @param {boolean} first */
  async #fetch(first) {
    const state = /** @type {State} */ (this.state);
    const controller = new AbortController();
    this.running = controller;
    try {
      const body = searchRequest(state, this.pageToken);
      const answer = /** @type {Answer} */ (
        await post("search", body, { signal: controller.signal })
      );
      if (this.running !== controller) return;
      this.running = null;
      this.pageToken = answer.next_page_token ?? "";
      this.isDone = !this.pageToken;
      this.handlers.onPage(answer, first);
      if (this.isDone) this.handlers.onEnd();
    } catch (error) {
      if (wasAborted(error) || this.running !== controller) return;
      this.running = null;
      if (first) this.isDone = true;
      this.handlers.onError(error, first);
    }
  }
}
