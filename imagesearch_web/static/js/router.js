// The address is the state: every change goes through here, and back and forward undo and redo it.

import { decode, encode } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {(state: State, before: State | null) => void} Listener */

/** @type {Listener[]} */
const listeners = [];
/** @type {State} */
let state = decode(location.search);
/** @type {State | null} */
let told = null;

/** The state now; to be read, not changed. */
export const current = () => state;

/** @param {Listener} listener called at the start and after each change */
export const onChange = (listener) => listeners.push(listener);

/** Goes on to a state that has these parts changed; "back" comes back from it.
 * @param {Partial<State>} changes */
export function go(changes) {
  const next = { ...state, ...changes };
  if (encode(next) === encode(state)) return;
  history.pushState({ ours: true }, "", address(next));
  set(next);
}

/** Goes on to the state of an address.
 * @param {string} search the query of the address */
export const goTo = (search) => go(decode(search));

/** As `go`, in the place of the present entry of the history.
 * @param {Partial<State>} changes */
export function replace(changes) {
  const next = { ...state, ...changes };
  history.replaceState(history.state, "", address(next));
  set(next);
}

/** Leaves what is shown over the page: back where that is how it was come to.
 * @param {Partial<State>} changes */
export function leave(changes) {
  if (history.state?.ours) history.back();
  else replace(changes);
}

/** The address of a state, for links.
 * @param {State} of */
export const address = (of) => location.pathname + encode(of);

/** Tells everybody the first state, and listens to back and forward. */
export function start() {
  addEventListener("popstate", () => set(decode(location.search)));
  set(state);
}

/** @param {State} next */
function set(next) {
  const before = told;
  state = next;
  told = next;
  for (const listener of listeners) listener(next, before);
}
