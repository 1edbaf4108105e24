// The interface's languages. To add one: add locales/CODE.json, and a line here.

/** Names of the languages in themselves, by BCP 47 code.
 * @type {Record<string, string>} */
export const LANGUAGES = {
  en: "English",
  zh: "中文",
};
