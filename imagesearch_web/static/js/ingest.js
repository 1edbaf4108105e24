// Adds pictures to a collection: what was chosen, how far it is, what was refused and why.

import { byId, fill, h } from "./dom.js";
import { fromDrop, fromField } from "./folder.js";
import { number, t } from "./i18n.js";
import { say } from "./messages.js";
import { inDetail, inWords } from "./problems.js";
import { sendAll } from "./uploads.js";

/** @typedef {import("./folder.js").Found} Found */

/** Refused pictures that are listed. */
const LISTED = 200;

/** @type {AbortController | null} */
let running = null;
/** @type {() => void} */
let onStored = () => {};

/** @param {() => void} whenStored called when pictures were added */
export function listen(whenStored) {
  onStored = whenStored;
  for (const name of ["folder", "files"]) {
    const field = byId(`ingest-${name}`);
    byId(`choose-${name}`).addEventListener("click", () => field.click());
    field.addEventListener("change", () => {
      const found = fromField(field.files);
      field.value = "";
      void run(found);
    });
  }
  byId("ingest-stop").addEventListener("click", () => running?.abort());
  addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault(); // "leave though pictures are being sent?"
  });
}

/** @param {DataTransfer} data */
export async function drop(data) {
  await run(await fromDrop(data));
}

/** @param {{pictures: Found[], others: number}} found */
async function run({ pictures, others }) {
  if (running) return;
  const tags = byId("ingest-tags").value.split(/[,，、]/).map((/** @type {string} */ tag) => tag.trim());
  const count = { created: 0, merged: 0, unchanged: 0, refused: 0 };
  const list = byId("ingest-refused");
  fill(list);
  byId("ingest-refused-title").hidden = true;
  byId("ingest-progress").hidden = false;
  byId("ingest-others").textContent = others ? t("ingest.others", { count: others }) : "";
  running = new AbortController();
  byId("ingest-stop").hidden = false;
  const began = performance.now();
  const show = () => progress(count, pictures.length, began);
  show();
  await sendAll(pictures, {
    index: byId("ingest-index").value.trim(),
    tags: tags.filter(Boolean),
    signal: running.signal,
    onDone: (outcome) => {
      count[outcome] += 1;
      show();
    },
    onRefused: (error, { path }) => {
      count.refused += 1;
      byId("ingest-refused-title").hidden = false;
      if (count.refused <= LISTED) list.append(refusal(path, error));
      show();
    },
  });
  const wasStopped = running.signal.aborted;
  running = null;
  byId("ingest-stop").hidden = true;
  const key = wasStopped ? "ingest.stopped" : "ingest.done";
  const stored = count.created + count.merged + count.unchanged;
  const text = pictures.length ? t(key, { count: stored }) : t("ingest.no_pictures");
  byId("ingest-state").textContent = text;
  say(text);
  onStored();
}

/** @param {{created: number, merged: number, unchanged: number, refused: number}} count
 * @param {number} total
 * @param {number} began */
function progress(count, total, began) {
  const done = count.created + count.merged + count.unchanged + count.refused;
  const bar = byId("ingest-bar");
  bar.max = Math.max(1, total);
  bar.value = done;
  const seconds = (performance.now() - began) / 1000;
  const left = done ? Math.ceil(((total - done) * seconds) / done) : 0;
  byId("ingest-state").textContent = t("ingest.progress", { done, total, left });
  fill(
    byId("ingest-counts"),
    Object.entries(count).map(([name, value]) =>
      h("li", { class: `count-${name}` }, h("strong", {}, number(value)), t(`ingest.${name}`)),
    ),
  );
}

/** @param {string} path
 * @param {unknown} error */
const refusal = (path, error) =>
  h("li", { title: inDetail(error) }, h("code", {}, path), h("span", {}, inWords(error)));
