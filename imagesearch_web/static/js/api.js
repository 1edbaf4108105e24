// The JSON API.

const BASE = new URL("../api/v1/", import.meta.url);
const MARK = { "X-Requested-With": "imagesearch" };

/** Widths that thumbnails come in, in pixels of the longer side. */
export const WIDTHS = [128, 256, 512, 1024];

/** What a request failed with (RFC 9457).
 * @property {number} status of HTTP; 0 where nothing answered
 * @property {string} reason a word for programs, e.g. "IMAGE_UNREADABLE" */
export class Problem extends Error {
  /** @param {{status?: number, reason?: string, detail?: string, title?: string,
   *   violations?: {field: string, description: string}[], retry_after_s?: number}} problem */
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "");
    this.name = "Problem";
    this.status = problem.status ?? 0;
    this.reason = problem.reason ?? "";
    this.violations = problem.violations ?? [];
    this.retryAfter = problem.retry_after_s ?? 0;
  }
}

/** Whether an error only says that a request was given up for a newer one.
 * @param {unknown} error */
export const wasAborted = (error) => error instanceof DOMException && error.name === "AbortError";

/** Parameters of an address; of a list, each.
 * @typedef {Record<string, string | number | string[] | undefined>} Query */

/** @param {string} path
 * @param {Query} [query] */
function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value ?? ""]) {
      if (each !== "") url.searchParams.append(name, String(each));
    }
  }
  return url;
}

/** @param {URL} url
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 * @throws {Problem} */
async function request(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...MARK, ...options.headers } });
  } catch (error) {
    if (wasAborted(error)) throw error;
    throw new Problem({ reason: "SERVER_AWAY", detail: String(error) });
  }
  const isJson = /json/.test(response.headers.get("Content-Type") ?? "");
  const body = isJson ? await response.json() : {};
  if (!response.ok) throw new Problem({ title: response.statusText, ...body, status: response.status });
  return body;
}

/** @param {string} path
 * @param {Query} [query]
 * @param {AbortSignal} [signal] */
export const get = (path, query, signal) => request(address(path, query), { signal });

/** @param {string} path
 * @param {unknown} body
 * @param {RequestInit} [options] */
export const post = (path, body, options) => send("POST", path, body, options);

/** @param {string} path
 * @param {unknown} body
 * @param {RequestInit} [options] `keepalive` for what must arrive though the page goes */
export const remove = (path, body, options) => send("DELETE", path, body, options);

/** @param {string} method
 * @param {string} path
 * @param {unknown} body
 * @param {RequestInit} [options] */
function send(method, path, body, options = {}) {
  const headers = { "Content-Type": "application/json" };
  return request(address(path), { ...options, method, headers, body: JSON.stringify(body) });
}

/** Sends a file as it is.
 * @param {string} path
 * @param {Blob} file
 * @param {Query} query
 * @param {AbortSignal} [signal] */
export function upload(path, file, query, signal) {
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  return request(address(path, query), { method: "POST", headers, body: file, signal });
}

/** Server-sent events.
 * @param {string} path
 * @param {Query} query */
export const events = (path, query) => new EventSource(address(path, query));

/** @param {string} id
 * @param {string} index */
export const originalAddress = (id, index) => address(`images/${id}/original`, { index }).href;

/** @param {"images" | "query-images"} kind
 * @param {string} id
 * @param {number} width
 * @param {string} [index] */
export const thumbnailAddress = (kind, id, width, index) =>
  address(`${kind}/${id}/thumbnail`, { w: width, index }).href;
