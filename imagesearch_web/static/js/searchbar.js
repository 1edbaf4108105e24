// The search field: text in any language, results while it is typed; and the ways to give a picture.

import { byId } from "./dom.js";
import { isUrl, searchByFiles, searchByUrl } from "./sources.js";
import * as router from "./router.js";

/** Rest after a key before it is searched. */
const TYPING_MS = 300;

let timer = 0;
let isTyping = false;
/** The search field has text that no search has been made of yet. */
let isPending = false;

/** Wires the field and its buttons up. */
export function listen() {
  const input = byId("q");
  input.addEventListener("input", (/** @type {InputEvent} */ event) => {
    // While a word of Chinese or Japanese is put together, its letters are no text yet.
    if (!event.isComposing) typed();
  });
  input.addEventListener("compositionend", typed);
  addEventListener("popstate", () => {
    clearTimeout(timer);
    isPending = false;
    isTyping = false;
  });
  byId("searchbar").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    submit();
  });
  const picker = byId("file");
  byId("pick-file").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    void searchByFiles([...picker.files]);
    picker.value = ""; // so that the same file can be chosen again
  });
  byId("url-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const field = byId("url");
    if (!isUrl(field.value)) return;
    byId("url-popover").hidePopover();
    searchByUrl(field.value);
    field.value = "";
  });
  byId("url-popover").addEventListener("toggle", (/** @type {ToggleEvent} */ event) => {
    if (event.newState === "open") byId("url").focus();
  });
  byId("clear").addEventListener("click", () => {
    input.value = "";
    router.go({ text: "", terms: [], show: "", tab: "" });
    input.focus();
  });
}

function typed() {
  clearTimeout(timer);
  isPending = true;
  timer = setTimeout(() => {
    const text = byId("q").value;
    isPending = false;
    if (isUrl(text)) return; // until it is whole and Enter says so
    if (text.trim() === router.current().text.trim()) return;
    const go = isTyping ? router.replace : router.go;
    isTyping = true;
    go({ text, view: "search", show: "", tab: "" });
    isTyping = true;
  }, TYPING_MS);
}

function submit() {
  clearTimeout(timer);
  isPending = false;
  const input = byId("q");
  const text = input.value.trim();
  if (isUrl(text)) {
    input.value = "";
    searchByUrl(text, router.current().terms.length ? "like" : "instead");
    return;
  }
  router.go({ text, view: "search", show: "", tab: "" });
  isTyping = false;
}

/** @param {import("./state.js").State} state */
export function show(state) {
  const input = byId("q");
  // What is being typed is newer than any state.
  if (input.value.trim() !== state.text.trim() && !isPending) input.value = state.text;
  if (document.activeElement !== input) isTyping = false;
  byId("clear").hidden = state.text === "" && state.terms.length === 0;
}

/** Puts the cursor into the field. */
export function focus() {
  byId("q").focus();
  byId("q").select();
}
