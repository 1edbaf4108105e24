// A box that is drawn over a picture: with a mouse, a finger, or the keyboard.

import { h, setProperties } from "./dom.js";
import { percent, t } from "./i18n.js";
import { clamp } from "./state.js";

/** @typedef {import("./state.js").Box} Box */

/** A smaller box is a click. */
const LEAST = 0.03;
const STEP = 0.02;

/** @type {Box} */
const MIDDLE = { left: 0.25, top: 0.25, right: 0.75, bottom: 0.75 };

/** A picture over which a box can be drawn, moved and resized.
 * @param {HTMLElement} picture
 * @param {Box | null} box
 * @param {(box: Box | null) => void} onchange called when a box is done, or taken away
 * @returns {{element: HTMLElement, select: () => void, clear: () => void}} */
export function region(picture, box, onchange) {
  const corners = ["nw", "ne", "sw", "se"].map((corner) =>
    h("span", { class: `corner ${corner}`, "data-corner": corner }),
  );
  const frame = h("div", { class: "region-box", tabindex: 0, role: "group" }, corners);
  const element = h("div", { class: "region" }, picture, frame);
  /** @type {Box | null} */
  let shown = box;
  /** @type {{pointer: number, x: number, y: number, from: Box | null, corner: string} | null} */
  let drag = null;

  const show = (/** @type {Box | null} */ next) => {
    shown = next;
    frame.hidden = next === null;
    element.classList.toggle("has-box", next !== null);
    if (!next) return;
    const [width, height] = [next.right - next.left, next.bottom - next.top];
    const share = (/** @type {number} */ value) => `${value * 100}%`;
    setProperties(frame, {
      left: share(next.left),
      top: share(next.top),
      width: share(width),
      height: share(height),
    });
    const size = { width: percent(width), height: percent(height) };
    frame.setAttribute("aria-label", `${t("region.box", size)} ${t("region.keys")}`);
  };
  const commit = () => {
    if (JSON.stringify(shown) !== JSON.stringify(box)) onchange(shown);
  };
  const clear = () => {
    show(null);
    commit();
  };

  const at = (/** @type {PointerEvent} */ event) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return {
      x: clamp((event.clientX - left) / width, 0, 1),
      y: clamp((event.clientY - top) / height, 0, 1),
    };
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const target = /** @type {HTMLElement} */ (event.target);
    const inside = target.closest(".region-box") !== null;
    drag = {
      pointer: event.pointerId,
      ...at(event),
      from: inside ? shown : null,
      corner: target.dataset.corner ?? "",
    };
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (!drag || drag.pointer !== event.pointerId) return;
    const now = at(event);
    if (!drag.from) show(spanned(drag, now));
    else if (drag.corner) show(resized(drag.from, drag.corner, now));
    else show(moved(drag.from, now.x - drag.x, now.y - drag.y));
  });
  const end = () => {
    if (!drag) return;
    drag = null;
    const isClick = shown && (shown.right - shown.left < LEAST || shown.bottom - shown.top < LEAST);
    if (isClick) show(box);
    commit();
  };
  element.addEventListener("pointerup", end);
  element.addEventListener("pointercancel", end);
  frame.addEventListener("keydown", (event) => {
    if (!shown) return;
    const next = byKey(shown, event);
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") commit();
    else if (next === null) clear();
    else show(next);
  });
  frame.addEventListener("blur", commit);

  show(box);
  const select = () => {
    show(shown ?? MIDDLE);
    frame.focus();
  };
  return { element, select, clear };
}

/** @param {{x: number, y: number}} a
 * @param {{x: number, y: number}} b
 * @returns {Box} */
const spanned = (a, b) => ({
  left: Math.min(a.x, b.x),
  top: Math.min(a.y, b.y),
  right: Math.max(a.x, b.x),
  bottom: Math.max(a.y, b.y),
});

/** @param {Box} box
 * @param {string} corner
 * @param {{x: number, y: number}} to
 * @returns {Box} */
function resized(box, corner, to) {
  const other = {
    x: corner.includes("w") ? box.right : box.left,
    y: corner.includes("n") ? box.bottom : box.top,
  };
  return spanned(other, to);
}

/** @param {Box} box
 * @param {number} dx
 * @param {number} dy
 * @returns {Box} */
function moved(box, dx, dy) {
  const x = clamp(dx, -box.left, 1 - box.right);
  const y = clamp(dy, -box.top, 1 - box.bottom);
  return { left: box.left + x, top: box.top + y, right: box.right + x, bottom: box.bottom + y };
}

/** Arrows move, with Shift they resize; Enter takes the box, Escape and Delete take it away.
 * @param {Box} box
 * @param {KeyboardEvent} event
 * @returns {Box | null | undefined} undefined: the key means nothing here */
function byKey(box, event) {
  if (event.key === "Enter") return box;
  if (event.key === "Escape" || event.key === "Delete") return null;
  const x = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key] ?? 0;
  const y = { ArrowUp: -STEP, ArrowDown: STEP }[event.key] ?? 0;
  if (!x && !y) return undefined;
  if (!event.shiftKey) return moved(box, x, y);
  return {
    ...box,
    right: clamp(box.right + x, box.left + 2 * STEP, 1),
    bottom: clamp(box.bottom + y, box.top + 2 * STEP, 1),
  };
}
