// What the browser remembers for this page. A browser that lets nothing be kept only forgets.

const PREFIX = "imagesearch.";

/** @param {string} key
 * @returns {any} what was written, or null */
export function read(key) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key) ?? "null");
  } catch {
    return null;
  }
}

/** @param {string} key
 * @param {unknown} value */
export function write(key, value) {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full, or not allowed: the page works without.
  }
}
