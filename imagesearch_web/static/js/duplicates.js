// Reviews the duplicates of a collection: a scan that tells how far it is, then group by group what to
// keep and what to delete.

import { events, Problem } from "./api.js";
import { deleteLater } from "./deletion.js";
import { byId, fill } from "./dom.js";
import { group } from "./duplicategroup.js";
import { size, t } from "./i18n.js";
import { problemCard, say } from "./messages.js";
import * as router from "./router.js";

/** @typedef {import("./duplicategroup.js").Group} Group */

/** Groups that are shown at a time. */
const SHOWN = 30;

/** @type {EventSource | null} */
let scan = null;
let scanId = "";
let scanned = "";
/** @type {Group[]} */
let groups = [];
let shown = 0;

/** Wires it up. */
export function listen() {
  byId("scan").addEventListener("click", () => start(""));
  byId("scan-stop").addEventListener("click", stop);
  byId("groups-more").addEventListener("click", showMore);
  byId("delete-all").addEventListener("click", () => byId("confirm").showModal());
  byId("confirm").addEventListener("close", () => {
    if (byId("confirm").returnValue === "yes") deleteSuggested();
    byId("confirm").returnValue = "";
  });
}

/** Forgets the groups of another index.
 * @param {string} index */
export function reset(index) {
  if (index === scanned) return;
  scanned = index;
  stop();
  clear();
  byId("scan-progress").hidden = true;
}

function clear() {
  groups = [];
  shown = 0;
  fill(byId("groups"));
  fill(byId("scan-problem"));
  byId("delete-all").hidden = true;
  byId("groups-more").hidden = true;
}

/** @param {string} resumed scan to go on with */
function start(resumed) {
  stop();
  clear();
  scanId = resumed;
  const state = router.current();
  scanned = state.index;
  byId("scan-progress").hidden = false;
  byId("scan-stop").hidden = false;
  byId("scan").disabled = true;
  byId("scan-bar").removeAttribute("value");
  byId("scan-state").textContent = t("duplicates.starting");
  scan = events("duplicates", { index: state.index, scan_id: resumed, keep: byId("keep").value });
  const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ handle) =>
    scan?.addEventListener(name, (event) => handle(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  on("progress", progress);
  on("group", (found) => {
    groups.push(found);
    if (shown < SHOWN) showMore();
    byId("groups-more").hidden = shown >= groups.length;
  });
  on("summary", finish);
  on("problem", (problem) => fail(new Problem(problem)));
  scan.addEventListener("error", () => {
    if (scan) fail(new Problem({ reason: "SERVER_AWAY" }));
  });
}

/** @param {{scan_id?: string, checked_count?: string, total_count?: string}} found */
function progress(found) {
  scanId = found.scan_id ?? scanId;
  const [done, total] = [Number(found.checked_count ?? 0), Number(found.total_count ?? 0)];
  const bar = byId("scan-bar");
  bar.max = Math.max(1, total);
  bar.value = done;
  byId("scan-state").textContent = t("duplicates.progress", { done, total });
}

/** @param {{group_count?: string, image_count?: string, reclaimable_bytes?: string}} summary */
function finish(summary) {
  stop();
  const count = Number(summary.group_count ?? 0);
  const bytes = size(summary.reclaimable_bytes ?? 0);
  const text = count ? t("duplicates.found", { count, bytes }) : t("duplicates.none");
  byId("scan-bar").value = byId("scan-bar").max;
  byId("scan-state").textContent = text;
  byId("delete-all").hidden = count === 0;
  byId("confirm-text").textContent = t("duplicates.confirm", { bytes });
  say(text);
}

/** @param {Problem} problem */
function fail(problem) {
  stop();
  fill(byId("scan-problem"), problemCard(problem, () => start(scanId)));
}

function stop() {
  scan?.close();
  scan = null;
  byId("scan-stop").hidden = true;
  byId("scan").disabled = false;
}

function showMore() {
  const next = groups.slice(shown, shown + (shown < SHOWN ? 1 : SHOWN));
  byId("groups").append(...next.map(group));
  shown += next.length;
  byId("groups-more").hidden = shown >= groups.length;
}

function deleteSuggested() {
  const ids = groups.flatMap(({ images, keep_image_id: keep }) =>
    images.map(({ image }) => image.image_id).filter((id) => id !== keep),
  );
  deleteLater(ids, router.current().index);
}
