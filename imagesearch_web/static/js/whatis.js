// What a picture shows: what words fit it, and what pictures like it are tagged with.

import { get, post } from "./api.js";
import { fill, h } from "./dom.js";
import { bar } from "./facts.js";
import { has, named, percent, t } from "./i18n.js";
import { problemCard } from "./messages.js";
import { source as toSource } from "./query.js";
import { tile } from "./tile.js";
import * as router from "./router.js";
import * as storage from "./storage.js";

/** @typedef {import("./state.js").Term} Term */

const OWN = "own";

/** @param {Term} source
 * @returns {(panel: HTMLElement) => Promise<void>} */
export const showWhatIsIt = (source) => async (panel) => {
  const words = h("section", { class: "what" });
  const neighbours = h("section", { class: "what" });
  fill(panel, words, neighbours);
  void byNeighbours(source, neighbours);
  await byWords(source, words);
};

/** @param {Term} source
 * @param {HTMLElement} section */
async function byWords(source, section) {
  try {
    const { label_sets: sets = [] } = await get("label-sets");
    const answer = h("div", { class: "what-answer", role: "status" });
    const last = storage.read("label-set");
    const option = (/** @type {{name: string, description?: string}} */ { name, description }) =>
      h("option", { value: name, title: description, selected: name === last }, setName(name));
    const select = /** @type {HTMLSelectElement} */ (
      h("select", { "aria-label": t("what.label_set") }, sets.map(option), ownOption())
    );
    const own = /** @type {HTMLInputElement} */ (
      h("input", { type: "text", "aria-label": t("what.own"), placeholder: t("what.own_hint") })
    );
    const form = h("form", { class: "what-form" }, select, own);
    const ask = () => {
      own.hidden = select.value !== OWN;
      const labels = own.value.split(/[,，、;；]/).map((name) => name.trim()).filter(Boolean);
      if (select.value !== OWN) void classify(source, { label_set: select.value }, answer);
      else if (labels.length) {
        const listed = [...new Set(labels)].map((name) => ({ name }));
        void classify(source, { labels: { labels: listed } }, answer);
      } else fill(answer);
    };
    select.addEventListener("change", () => {
      storage.write("label-set", select.value);
      ask();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    own.addEventListener("change", ask);
    fill(section, h("h3", {}, t("what.by_words")), form, answer);
    ask();
  } catch (error) {
    fill(section, h("h3", {}, t("what.by_words")), problemCard(error, () => void byWords(source, section)));
  }
}

/** A label set's name in the reader's language, where it is known.
 * @param {string} name */
const setName = (name) => (has(`labels.${name}`) ? t(`labels.${name}`) : name);

const ownOption = () => h("option", { value: OWN }, t("what.own"));

/** @param {Term} source
 * @param {object} choice
 * @param {HTMLElement} answer */
async function classify(source, choice, answer) {
  fill(answer, h("p", { class: "loading" }, t("what.looking")));
  try {
    const found = await post("classify", request(source, choice));
    fill(answer, verdict(found), labelBars(found.labels ?? []));
  } catch (error) {
    fill(answer, problemCard(error, () => void classify(source, choice, answer)));
  }
}

/** @param {Term} source
 * @param {object} choice */
const request = (source, choice) => ({
  source: toSource(source),
  index: router.current().index || undefined,
  region: source.box ? { box: source.box } : undefined,
  ...choice,
});

/** @param {{unknown?: boolean, unknown_probability?: number}} found */
const verdict = ({ unknown, unknown_probability: probability = 0 }) =>
  unknown && h("p", { class: "note" }, t("what.unknown", { value: percent(probability) }));

/** @param {{name: string, probability?: number, display_names?: Record<string, string>}[]} labels */
const labelBars = (labels) =>
  h(
    "ul",
    { class: "bars" },
    labels.map(({ name, probability = 0, display_names: names }) =>
      bar(named(names, name), probability, percent(probability)),
    ),
  );

/** @param {Term} source
 * @param {HTMLElement} section */
async function byNeighbours(source, section) {
  const title = h("h3", {}, t("what.by_neighbours"));
  fill(section, title, h("p", { class: "loading", role: "status" }, t("what.looking")));
  try {
    const found = await post("identify", request(source, { neighbor_count: 12 }));
    const labels = found.labels ?? [];
    fill(
      section,
      title,
      labels.length ? verdict(found) : h("p", { class: "quiet" }, t("what.no_tags")),
      labelBars(labels),
      h("p", { class: "quiet" }, t("what.evidence")),
      h(
        "ol",
        { class: "grid is-small" },
        (found.neighbors ?? []).slice(0, 8).map((/** @type {any} */ each) => tile(each, { tools: false })),
      ),
    );
  } catch (error) {
    fill(section, title, problemCard(error, () => void byNeighbours(source, section)));
  }
}
