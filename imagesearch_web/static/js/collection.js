// The collections there are, how well they are, and what can be done with them.

import { get } from "./api.js";
import { byId, fill, h, icon } from "./dom.js";
import { onIngest } from "./dropzone.js";
import * as duplicates from "./duplicates.js";
import { size, t } from "./i18n.js";
import * as ingest from "./ingest.js";
import { problemCard } from "./messages.js";
import * as router from "./router.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {{name: string, document_count?: string, size_bytes?: string, health?: string}} Index */

/** Wires the view up. */
export function listen() {
  ingest.listen(() => void load(router.current()));
  duplicates.listen();
  onIngest((data) => void ingest.drop(data));
}

/** @param {State} state */
export function show(state) {
  byId("ingest-index").value = state.index;
  duplicates.reset(state.index);
  void load(state);
}

/** @param {State} state */
async function load(state) {
  const retry = () => void load(state);
  const [indexes, status] = await Promise.allSettled([
    allIndexes(),
    get("status", { index: state.index }),
  ]);
  const name = status.status === "fulfilled" ? status.value.index?.name : undefined;
  const list = byId("collections");
  if (indexes.status === "rejected") fill(list, h("li", {}, problemCard(indexes.reason, retry)));
  else {
    const all = indexes.value;
    fill(list, all.length ? all.map((each) => entry(each, state.index || name)) : none());
    fill(byId("index-names"), all.map((each) => h("option", { value: each.name })));
  }
  const parts = byId("parts");
  if (status.status === "rejected") fill(parts, h("li", {}, problemCard(status.reason, retry)));
  else fill(parts, (status.value.components ?? []).map(part), models(status.value));
}

/** @returns {Promise<Index[]>} */
async function allIndexes() {
  const found = [];
  let token = "";
  do {
    const page = await get("indexes", { page_token: token });
    found.push(...(page.indexes ?? []));
    token = page.next_page_token ?? "";
  } while (token);
  return found;
}

const none = () => h("li", { class: "quiet" }, t("collection.none"));

/** @param {Index} index
 * @param {string | undefined} chosen */
function entry(index, chosen) {
  const state = router.current();
  const isChosen = index.name === chosen;
  const health = index.health ?? "";
  return h(
    "li",
    {},
    h(
      "a",
      {
        class: "collection",
        href: router.address({ ...state, index: index.name }),
        "aria-current": isChosen && "true",
      },
      h("strong", {}, index.name),
      h("span", { class: "big" }, t("collection.pictures", { count: Number(index.document_count ?? 0) })),
      h("span", { class: "quiet" }, size(index.size_bytes ?? 0)),
      health && h("span", { class: `health is-${health}` }, t(`health.${health}`)),
    ),
  );
}

/** @param {{name: string, serving?: boolean, detail?: string}} component */
const part = ({ name, serving, detail = "" }) =>
  h(
    "li",
    { class: serving ? "part" : "part is-away" },
    icon(serving ? "check" : "alert"),
    h("strong", {}, t(`part.${name}`)),
    h("span", { class: "quiet" }, serving ? detail : `${t("part.away")} ${detail}`),
  );

/** @param {{image_model?: string, text_model?: string}} status */
const models = ({ image_model: image, text_model: text }) =>
  image &&
  h("li", { class: "part" }, icon("info"), h("strong", {}, t("part.models")),
    h("span", { class: "quiet" }, [image, text].filter(Boolean).map(baseName).join(" · ")));

/** A model's name without the folder it is in.
 * @param {any} name */
const baseName = (name) => String(name).split("/").at(-1);

