// The pictures of what was chosen or dropped, folders and all.

/** @typedef {{file: File, path: string}} Found path: below what was chosen, with forward slashes */

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;

/** Whether a file's name or type is that of a picture.
 * @param {File} file */
const isPicture = (file) => file.type.startsWith("image/") || PICTURE.test(file.name);

/** Hidden files and folders are nobody's pictures.
 * @param {string} path */
const isHidden = (path) => path.split("/").some((part) => part.startsWith("."));

/** @param {Found[]} found
 * @returns {{pictures: Found[], others: number}} in the order of their paths */
function sorted(found) {
  const seen = found.filter(({ path }) => !isHidden(path));
  const pictures = seen.filter(({ file }) => isPicture(file));
  pictures.sort((a, b) => a.path.localeCompare(b.path));
  return { pictures, others: seen.length - pictures.length };
}

/** @param {Iterable<File>} files of a file field */
export const fromField = (files) =>
  sorted([...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));

/** @param {DataTransfer} data of a drop; must be read in the drop's own turn
 * @returns {Promise<{pictures: Found[], others: number}>} */
export async function fromDrop(data) {
  const entries = [...data.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry());
  const files = [...data.files];
  if (entries.some((entry) => entry === null)) return fromField(files);
  /** @type {Found[]} */
  const found = [];
  for (const entry of entries) {
    for await (const each of walk(/** @type {FileSystemEntry} */ (entry))) found.push(each);
  }
  return sorted(found);
}

/** @param {FileSystemEntry} entry
 * @returns {AsyncGenerator<Found>} */
async function* walk(entry) {
  if (entry.isFile) {
    const of = /** @type {FileSystemFileEntry} */ (entry);
    const file = await new Promise((resolve, reject) => of.file(resolve, reject));
    yield { file: /** @type {File} */ (file), path: entry.fullPath.replace(/^\//, "") };
    return;
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) {
    // A reader gives a part of its folder at a time, and nothing at the end.
    /** @type {FileSystemEntry[]} */
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return;
    for (const each of part) yield* walk(each);
  }
}
