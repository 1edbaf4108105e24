// Sends many pictures to an index, some at a time.

import { Problem, upload, wasAborted } from "./api.js";
import { MAX_BYTES } from "./sources.js";

/** @typedef {import("./folder.js").Found} Found */
/** @typedef {"created" | "merged" | "unchanged"} Outcome */

const AT_A_TIME = 4;

/** Times that a picture is sent while the server is busy or away, and the wait after the first. */
const ATTEMPTS = 4;
const WAIT_MS = 1000;

const BUSY = [0, 429, 502, 503, 504];

/** @param {Found[]} pictures
 * @param {{index: string, tags: string[], signal: AbortSignal,
 *   onDone: (outcome: Outcome, picture: Found) => void,
 *   onRefused: (error: unknown, picture: Found) => void}} options
 * @returns {Promise<void>} when all are done, refused, or given up */
export async function sendAll(pictures, options) {
  const waiting = pictures.entries();
  const worker = async () => {
    for (const [number, picture] of waiting) {
      if (options.signal.aborted) return;
      try {
        // The last ones are answered once searches see them: then they see all.
        const refresh = number >= pictures.length - AT_A_TIME ? "wait_for" : "none";
        options.onDone(await send(picture, refresh, options), picture);
      } catch (error) {
        if (wasAborted(error)) return;
        options.onRefused(error, picture);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

/** @param {Found} picture
 * @param {"none" | "wait_for"} refresh
 * @param {{index: string, tags: string[], signal: AbortSignal}} options
 * @returns {Promise<Outcome>} */
async function send({ file, path }, refresh, { index, tags, signal }) {
  if (file.size > MAX_BYTES) throw new Problem({ status: 413, reason: "IMAGE_TOO_LARGE" });
  const query = { relative_path: path, tags, index, refresh };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { outcome = "" } = await upload("images", file, query, signal);
      return /** @type {Outcome} */ (outcome.replace("UPSERT_OUTCOME_", "").toLowerCase());
    } catch (error) {
      const isBusy = error instanceof Problem && BUSY.includes(error.status);
      if (!isBusy || attempt === ATTEMPTS) throw error;
      const asked = error.retryAfter * 1000;
      await pause(Math.max(asked, WAIT_MS * 2 ** (attempt - 1) * (0.5 + Math.random())), signal);
    }
  }
}

/** @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>} */
const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("given up", "AbortError"));
    });
  });
