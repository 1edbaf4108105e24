// What the page says: short messages that go by themselves, and errors that stay.

import { byId, h, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { inDetail, inWords } from "./problems.js";

const SHOWN_MS = 6000;

/** Says something to screen readers only.
 * @param {string} text */
export function say(text) {
  byId("said").textContent = text;
}

/** Shows a message at the edge of the page.
 * @param {string} text
 * @param {{action?: string, onaction?: () => void, shownMs?: number, isError?: boolean}} [options]
 * @returns {() => void} takes it away */
export function toast(text, { action, onaction, shownMs = SHOWN_MS, isError = false } = {}) {
  const close = () => {
    clearTimeout(timer);
    node.remove();
  };
  const act = () => {
    close();
    onaction?.();
  };
  const node = h(
    "div",
    { class: isError ? "toast is-error" : "toast", role: isError ? "alert" : "status" },
    h("p", {}, text),
    action && h("button", { type: "button", class: "text-button", onclick: act }, action),
    iconButton("close", t("close"), close),
  );
  // A modal dialog makes everything outside it inert, messages too.
  const open = [...document.querySelectorAll("dialog:modal")].at(-1);
  const place = open?.querySelector(".toasts") ?? byId("toasts");
  place.append(node);
  const timer = setTimeout(close, shownMs);
  return close;
}

/** @param {unknown} error */
export const toastProblem = (error) => toast(inWords(error), { isError: true, shownMs: 10_000 });

/** An error as a part of the page, with a way to try again.
 * @param {unknown} error
 * @param {() => void} [retry] */
export function problemCard(error, retry) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    icon("alert"),
    h("p", { class: "problem-text" }, inWords(error)),
    retry && h("button", { type: "button", class: "button", onclick: retry }, t("try_again")),
    h("details", {}, h("summary", {}, t("problem.details")), h("pre", {}, inDetail(error))),
  );
}

let busy = 0;

/** Shows that something is under way until a promise is done.
 * @template T
 * @param {Promise<T>} work
 * @returns {Promise<T>} */
export async function whileBusy(work) {
  busy += 1;
  byId("busy").hidden = false;
  try {
    return await work;
  } finally {
    busy -= 1;
    byId("busy").hidden = busy === 0;
  }
}
