// Searches made in this browser.

import { fill, h, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { queryPicture } from "./picture.js";
import { keyOf } from "./search.js";
import { allTerms, decode } from "./state.js";
import * as storage from "./storage.js";

const KEPT = 12;

/** A search counts once it has stayed for so long; what is passed by while typing does not. */
const STAYED_MS = 1200;

let timer = 0;

/** @param {import("./state.js").State} state */
export function note(state) {
  clearTimeout(timer);
  const key = keyOf(state);
  timer = setTimeout(() => write([key, ...read().filter((each) => each !== key)]), STAYED_MS);
}

/** @returns {string[]} queries of addresses, the newest first */
function read() {
  const kept = storage.read("recent");
  return Array.isArray(kept) ? kept.filter((each) => typeof each === "string") : [];
}

/** @param {string[]} keys */
const write = (keys) => storage.write("recent", keys.slice(0, KEPT));

/** Shows them.
 * @param {HTMLElement} place hidden where there are none */
export function show(place) {
  const keys = read();
  place.hidden = keys.length === 0;
  const forget = () => {
    write([]);
    show(place);
  };
  fill(
    place,
    h("h2", {}, t("recent.title"), iconButton("trash", t("recent.forget"), forget)),
    h("ul", { class: "recent" }, keys.map((key) => h("li", {}, entry(key)))),
  );
}

/** @param {string} key */
function entry(key) {
  const state = decode(key);
  const all = allTerms(state);
  const pictures = all.filter(({ kind }) => kind === "image" || kind === "upload");
  const words = all
    .filter(({ kind }) => kind === "text" || kind === "url")
    .map(({ value, weight }) => (weight < 0 ? `− ${value}` : value));
  const shown = pictures.slice(0, 2).map((each) => {
    const picture = queryPicture(each, { index: state.index, width: 128 });
    picture.addEventListener("error", () => picture.replaceWith(icon("empty")), { once: true });
    return picture;
  });
  return h(
    "a",
    { class: "recent-entry", href: location.pathname + key },
    shown.length ? shown : icon("search"),
    h("span", {}, words.join(" · ") || t("recent.picture")),
  );
}
