// Deletes pictures with time to think better of it: they are hidden at once, and deleted some seconds
// later, or when the page is left.

import { remove } from "./api.js";
import { t } from "./i18n.js";
import { toast, toastProblem } from "./messages.js";

export const UNDO_MS = 7000;

/** Ids in one request: a browser sends no more than 64 KiB on behalf of a page that is gone. */
const BATCH = 500;

/** Answered once searches see it, so that what was deleted does not come back. */
const REFRESH = "REFRESH_POLICY_WAIT_FOR";

/** @typedef {{ids: string[], index: string, timer: number, close: () => void}} Pending */

/** @type {Set<string>} */
const hidden = new Set();
/** @type {Set<Pending>} */
const pending = new Set();
/** @type {(() => void)[]} */
const listeners = [];

/** @param {string} id */
export const isHidden = (id) => hidden.has(id);

/** @param {() => void} listener called when what is hidden has changed */
export const onVisibility = (listener) => listeners.push(listener);

/** Deletes pictures unless it is undone in time.
 * @param {string[]} ids
 * @param {string} index */
export function deleteLater(ids, index) {
  for (const id of ids) hidden.add(id);
  const timer = setTimeout(() => settle(entry), UNDO_MS);
  const close = toast(t("deleted", { count: ids.length }), {
    action: t("undo"),
    onaction: () => undo(entry),
    shownMs: UNDO_MS,
  });
  const entry = { ids, index, timer, close };
  pending.add(entry);
  tell();
}

/** @param {Pending} entry */
function undo(entry) {
  clearTimeout(entry.timer);
  pending.delete(entry);
  restore(entry);
}

/** @param {Pending} entry
 * @param {RequestInit} [options] */
async function settle(entry, options) {
  clearTimeout(entry.timer);
  pending.delete(entry);
  entry.close();
  try {
    const requests = [];
    for (let start = 0; start < entry.ids.length; start += BATCH) {
      const ids = entry.ids.slice(start, start + BATCH);
      const body = { image_ids: ids, index: entry.index || undefined, refresh: REFRESH };
      requests.push(remove("images", body, options));
    }
    await Promise.all(requests);
  } catch (error) {
    restore(entry);
    toastProblem(error);
  }
}

/** @param {Pending} entry */
function restore({ ids }) {
  for (const id of ids) hidden.delete(id);
  tell();
}

function tell() {
  for (const listener of listeners) listener();
}

addEventListener("pagehide", () => {
  for (const entry of [...pending]) void settle(entry, { keepalive: true });
});
