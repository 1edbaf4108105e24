// The grid of results: no picture twice, and arrow keys to walk it.

import { isHidden, onVisibility } from "./deletion.js";
import { tile } from "./tile.js";

/** @typedef {import("./tile.js").Result} Result */

/** Pictures that are surely seen at once: they need not wait for the layout. */
const EAGER = 8;

export class Results {
  /** @param {HTMLElement} grid a list */
  constructor(grid) {
    this.grid = grid;
    /** @type {Map<string, Result>} by id, in order */
    this.shown = new Map();
    grid.addEventListener("keydown", (event) => this.#walk(event));
    grid.addEventListener("focusin", (event) => {
      const item = /** @type {HTMLElement} */ (event.target).closest("li");
      if (item) this.#makeCurrent(item);
    });
    onVisibility(() => this.#hide());
  }

  get count() {
    return this.shown.size;
  }

  clear() {
    this.shown.clear();
    this.grid.replaceChildren();
  }

  /** Adds a page of results.
   * @param {Result[]} results
   * @param {{tools?: boolean}} [options]
   * @returns {number} how many were new */
  append(results, options = {}) {
    const fresh = results.filter(({ image }) => !this.shown.has(image.image_id));
    const items = fresh.map((result) => {
      const eager = this.shown.size < EAGER;
      this.shown.set(result.image.image_id, result);
      const item = tile(result, { eager, ...options });
      this.#reachable(item, this.shown.size === 1);
      return item;
    });
    this.grid.append(...items);
    this.#hide();
    return fresh.length;
  }

  /** @param {string} id */
  find(id) {
    return this.shown.get(id);
  }

  /** Id of the picture so many after another; undefined beyond the ends.
   * @param {string} id
   * @param {number} step */
  neighbour(id, step) {
    const ids = [...this.shown.keys()].filter((each) => !isHidden(each));
    return ids.includes(id) ? ids[ids.indexOf(id) + step] : undefined;
  }

  /** Puts the focus on a picture, if it is there.
   * @param {string} id */
  focus(id) {
    const item = this.grid.querySelector(`[data-id="${CSS.escape(id)}"]`);
    item?.querySelector("a")?.focus({ preventScroll: true });
  }

  #hide() {
    for (const item of this.grid.children) {
      const { id = "" } = /** @type {HTMLElement} */ (item).dataset;
      /** @type {HTMLElement} */ (item).hidden = isHidden(id);
    }
  }

  /** Only one tile at a time is reached by Tab; the others by the arrow keys.
   * @param {Element} item
   * @param {boolean} reachable */
  #reachable(item, reachable) {
    for (const part of item.querySelectorAll("a, button")) {
      /** @type {HTMLElement} */ (part).tabIndex = reachable ? 0 : -1;
    }
  }

  /** @param {Element} item */
  #makeCurrent(item) {
    const before = this.grid.querySelector("[tabindex='0']")?.closest("li");
    if (before === item) return;
    if (before) this.#reachable(before, false);
    this.#reachable(item, true);
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const item = /** @type {HTMLElement} */ (event.target).closest("li");
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = /** @type {HTMLElement[]} */ ([...this.grid.children]).filter((e) => !e.hidden);
    const at = items.indexOf(item);
    /** @type {Record<string, () => HTMLElement | undefined>} */
    const ways = {
      ArrowRight: () => items[at + 1],
      ArrowLeft: () => items[at - 1],
      ArrowDown: () => nearest(item, items.slice(at + 1), 1),
      ArrowUp: () => nearest(item, items.slice(0, at).reverse(), -1),
      Home: () => items[0],
      End: () => items.at(-1),
    };
    const to = ways[event.key]?.();
    if (to) {
      event.preventDefault();
      /** @type {HTMLElement} */ (to.querySelector("a")).focus();
      to.scrollIntoView({ block: "nearest" });
    }
    if (event.key === "i" || event.key === " ") press(event, item, 2);
    if (event.key === "+" || event.key === "=") press(event, item, 0);
    if (event.key === "-") press(event, item, 1);
  }
}

/** Presses a tool of a tile.
 * @param {KeyboardEvent} event
 * @param {Element} item
 * @param {number} which */
function press(event, item, which) {
  if (/** @type {HTMLElement} */ (event.target).tagName === "BUTTON") return;
  const button = item.querySelectorAll(".tile-tools button")[which];
  if (!button) return;
  event.preventDefault();
  /** @type {HTMLElement} */ (button).click();
}

/** The tile of the next row that is nearest to the middle of another.
 * @param {HTMLElement} from
 * @param {HTMLElement[]} candidates in order away from it
 * @param {1 | -1} direction */
function nearest(from, candidates, direction) {
  const middle = (/** @type {HTMLElement} */ e) => e.offsetLeft + e.offsetWidth / 2;
  const row = candidates.find((e) => (e.offsetTop - from.offsetTop) * direction > 4)?.offsetTop;
  return candidates
    .filter((e) => row !== undefined && Math.abs(e.offsetTop - row) <= 4)
    .sort((a, b) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0];
}
