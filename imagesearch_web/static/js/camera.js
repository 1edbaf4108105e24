// Takes a picture with the camera and searches by it.

import { byId, fill } from "./dom.js";
import { t } from "./i18n.js";
import { searchByFiles } from "./sources.js";

const QUALITY = 0.92;

/** @type {MediaStream | null} */
let stream = null;
let facing = "environment";

/** Wires the dialog up. */
export function listen() {
  const dialog = byId("camera");
  byId("camera-take").addEventListener("click", take);
  byId("camera-turn").addEventListener("click", () => {
    facing = facing === "environment" ? "user" : "environment";
    void start();
  });
  dialog.addEventListener("close", stop);
}

/** Opens the camera's dialog. */
export function open() {
  byId("camera").showModal();
  void start();
}

async function start() {
  const problem = byId("camera-problem");
  const take = byId("camera-take");
  problem.hidden = true;
  take.disabled = true;
  stop();
  try {
    const video = { facingMode: facing, width: { ideal: 1280 }, height: { ideal: 960 } };
    const opened = await navigator.mediaDevices.getUserMedia({ video });
    if (!byId("camera").open) {
      for (const track of opened.getTracks()) track.stop();
      return;
    }
    stream = opened;
    byId("camera-video").srcObject = stream;
    await byId("camera-video").play();
    take.disabled = false;
    take.focus();
  } catch (error) {
    problem.hidden = false;
    fill(problem, t(reason(error)));
  }
}

/** @param {unknown} error
 * @returns {string} key of a message */
function reason(error) {
  // Browsers give pages without TLS no camera, except on the same machine.
  if (!navigator.mediaDevices) return "camera.insecure";
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "camera.denied";
  return name === "NotFoundError" ? "camera.none" : "camera.failed";
}

async function take() {
  const video = byId("camera-video");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  byId("camera").close();
  await searchByFiles([blob]);
}

function stop() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("camera-video").srcObject = null;
}
