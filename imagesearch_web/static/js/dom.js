// Elements from values. Text is always set as text, never read as HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */

/** Builds an element.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `onclick` and such are listeners; `style` holds custom
 *   properties; null, undefined and false leave an attribute out, true sets it empty
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement} */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") setProperties(element, value);
    else if (name === "value" && "value" in element) element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** Puts other children into an element.
 * @param {Element} element
 * @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
}

/** @param {(Child | Child[])[]} children
 * @returns {(Node | string)[]} */
function present(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "number" ? String(child) : /** @type {Node} */ (child)));
}

/** Sets properties of an element's style, which a policy against inline style allows.
 * @param {HTMLElement} element
 * @param {Record<string, string | number>} properties */
export function setProperties(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    element.style.setProperty(name, String(value));
  }
}

/** One of the page's icons; says nothing to screen readers.
 * @param {string} name
 * @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon and a name that screen readers and tooltips say.
 * @param {string} name of the icon
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {Record<string, any>} [attributes] */
export function iconButton(name, label, onclick, attributes = {}) {
  const all = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return h("button", { ...all, onclick, ...attributes }, icon(name));
}

/** The element of an id, which the page has.
 * @param {string} id
 * @returns {any} */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}
