// Light or dark: as the system, unless chosen here.

import { byId } from "./dom.js";
import { t } from "./i18n.js";
import * as storage from "./storage.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {boolean} */
const isDark = () => (storage.read("theme") ?? (dark.matches ? "dark" : "light")) === "dark";

/** Applies what was chosen before. */
export function apply() {
  const chosen = storage.read("theme");
  const root = document.documentElement;
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  else delete root.dataset.theme;
}

/** Wires the switch up. */
export function listen() {
  const button = byId("theme");
  const label = () => {
    const text = t(isDark() ? "theme.light" : "theme.dark");
    button.setAttribute("aria-label", text);
    button.title = text;
  };
  button.addEventListener("click", () => {
    const next = isDark() ? "light" : "dark";
    // Chosen as the system has it: then it is the system's choice again.
    storage.write("theme", next === (dark.matches ? "dark" : "light") ? null : next);
    apply();
    label();
  });
  dark.addEventListener("change", label);
  label();
}
