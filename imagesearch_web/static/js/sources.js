// Pictures to search by: from files, by drop, by paste, by address.

import { Problem, upload } from "./api.js";
import { t } from "./i18n.js";
import { toast, toastProblem, whileBusy } from "./messages.js";
import { term } from "./state.js";
import { UNLIKE } from "./tile.js";
import * as router from "./router.js";

/** @typedef {"instead" | "like" | "unlike"} How what a picture is to the search there is */

/** As the server's. */
export const MAX_BYTES = 20 * 1024 * 1024;

/** Pictures of one search; more would be more terms than are useful. */
const MAX_PICTURES = 8;

/** Sends pictures to the server and searches by them.
 * @param {Blob[]} files
 * @param {How} [how] */
export async function searchByFiles(files, how = "instead") {
  if (!files.length) return;
  if (files.length > MAX_PICTURES) toast(t("sources.first_only", { count: MAX_PICTURES }));
  const chosen = files.slice(0, MAX_PICTURES);
  const sent = await whileBusy(Promise.allSettled(chosen.map(sendPicture)));
  for (const each of sent) if (each.status === "rejected") toastProblem(each.reason);
  const weight = how === "unlike" ? UNLIKE : 1;
  const terms = sent
    .filter((each) => each.status === "fulfilled")
    .map(({ value }) => term(value.stored ? "image" : "upload", value.id, { weight }));
  if (terms.length) add(terms, how);
}

/** @param {Blob} file
 * @returns {Promise<{id: string, stored?: boolean}>} stored: the index has it, under the same id */
async function sendPicture(file) {
  if (file.size > MAX_BYTES) throw new Problem({ status: 413, reason: "IMAGE_TOO_LARGE" });
  return upload("query-images", file, { index: router.current().index });
}

/** Searches by the picture at an address, which the server fetches.
 * @param {string} url
 * @param {How} [how] */
export function searchByUrl(url, how = "instead") {
  add([term("url", url.trim(), { weight: how === "unlike" ? UNLIKE : 1 })], how);
}

/** @param {import("./state.js").Term[]} terms
 * @param {How} how */
function add(terms, how) {
  const state = router.current();
  const common = { view: /** @type {const} */ ("search"), show: "", tab: "" };
  if (how === "instead") router.go({ ...common, text: "", terms });
  else router.go({ ...common, terms: [...state.terms, ...terms] });
}

/** @param {string} text
 * @returns {boolean} it is an address, and nothing else */
export const isUrl = (text) => /^https?:\/\/[^\s]+$/i.test(text.trim());

/** Searches by what was pasted, wherever the focus is. Text belongs to a field where one has the focus.
 * @param {ClipboardEvent} event */
export function onPaste(event) {
  const data = event.clipboardData;
  if (!data || router.current().view !== "search") return;
  const files = [...data.files].filter((file) => file.type.startsWith("image/"));
  const isField = event.target instanceof Element && event.target.closest("input, textarea");
  if (files.length) {
    event.preventDefault();
    void searchByFiles(files);
  } else if (!isField && data.getData("text/plain").trim()) {
    const text = data.getData("text/plain").trim();
    if (isUrl(text)) searchByUrl(text);
    else router.go({ text: text.slice(0, 2000), terms: [], show: "", tab: "" });
  }
}

/** What was dropped: files, or the address of a picture of another page.
 * @param {DataTransfer} data
 * @param {How} how */
export function searchByDrop(data, how) {
  const files = [...data.files];
  const url = data.getData("text/uri-list").split("\n").find(isUrl);
  if (files.length) void searchByFiles(files, how);
  else if (url) searchByUrl(url, how);
  else toast(t("sources.nothing_dropped"), { isError: true });
}
