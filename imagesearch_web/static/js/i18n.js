// Words, numbers and dates in the reader's language.

import { LANGUAGES } from "./languages.js";
import * as storage from "./storage.js";

/** @typedef {string | Record<string, string>} Message a text, or one for each plural category */

/** @type {Record<string, Message>} */
let messages = {};
let language = "en";

/** The language chosen before, or else the browser's first that there is.
 * @returns {string} */
function preferred() {
  const wanted = [storage.read("language"), ...navigator.languages];
  for (const tag of wanted) {
    const base = String(tag).toLowerCase().split("-")[0];
    if (base in LANGUAGES) return base;
  }
  return "en";
}

/** The language in use. */
export const current = () => language;

/** @type {Promise<void> | undefined} */
let loading;

/** Loads the preferred language's messages, once.
 * @returns {Promise<void>} */
export const ready = () => (loading ??= load(preferred()));

/** @param {string} code
 * @returns {Promise<void>} */
async function load(code) {
  const response = await fetch(new URL(`../locales/${code}.json`, import.meta.url));
  messages = await response.json();
  language = code;
  document.documentElement.lang = code === "zh" ? "zh-Hans" : code;
}

/** A message with its {places} filled in. A message that has plural forms takes the one for `count`.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string} */
export function t(key, values = {}) {
  let message = messages[key] ?? key;
  if (typeof message === "object") {
    const form = new Intl.PluralRules(language).select(Number(values.count));
    message = message[form] ?? message.other;
  }
  return message.replace(/\{(\w+)\}/g, (place, name) => {
    const value = values[name] ?? place;
    return typeof value === "number" ? number(value) : value;
  });
}

/** Whether there is such a message.
 * @param {string} key */
export const has = (key) => key in messages;

/** Fills in the texts of everything that names one: data-t, data-t-label, data-t-placeholder,
 * data-t-title.
 * @param {ParentNode} root */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) {
    node.textContent = t(/** @type {HTMLElement} */ (node).dataset.t ?? "");
  }
  const attributes = { tLabel: "aria-label", tPlaceholder: "placeholder", tTitle: "title" };
  for (const [name, attribute] of Object.entries(attributes)) {
    const selector = `[data-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}]`;
    for (const node of root.querySelectorAll(selector)) {
      node.setAttribute(attribute, t(/** @type {HTMLElement} */ (node).dataset[name] ?? ""));
    }
  }
}

/** @param {number} value
 * @param {Intl.NumberFormatOptions} [options] */
export const number = (value, options) => new Intl.NumberFormat(language, options).format(value);

/** @param {number} value 0 to 1 */
export const percent = (value) => number(value, { style: "percent", maximumFractionDigits: 0 });

/** A size in the unit that suits it.
 * @param {number | string} bytes */
export function size(bytes) {
  let value = Number(bytes);
  for (const unit of ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]) {
    if (value < 1000 || unit === "terabyte") {
      const digits = value < 10 && unit !== "byte" ? 1 : 0;
      const unitDisplay = unit === "byte" ? "long" : "short";
      return number(value, { style: "unit", unit, unitDisplay, maximumFractionDigits: digits });
    }
    value /= 1000;
  }
  return "";
}

/** @param {string} time RFC 3339 */
export const date = (time) =>
  new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(time));

/** A language's own name, or an image's in it.
 * @param {Record<string, string> | undefined} names by language
 * @param {string} otherwise */
export const named = (names, otherwise) => names?.[language] ?? otherwise;
