// Parts of the page that most visits do not need.

/** Loads a part when it is first asked for, and wires it up.
 * @template {{listen: () => void}} T
 * @param {() => Promise<T>} load
 * @returns {() => Promise<T>} */
export function lazily(load) {
  /** @type {Promise<T> | undefined} */
  let loaded;
  return () =>
    (loaded ??= load().then((part) => {
      part.listen();
      return part;
    }));
}
