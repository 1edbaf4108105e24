// Homographies as CSS. Pure.

/** A row-major 3x3 matrix.
 * @typedef {number[]} Matrix */

/** @type {Matrix} */
export const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** @param {Matrix} m
 * @returns {Matrix | null} null where there is no inverse */
export function inverse(m) {
  const [a, b, c, d, e, f, g, h, i] = m;
  const cofactors = [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ];
  const determinant = a * cofactors[0] + b * cofactors[3] + c * cofactors[6];
  if (Math.abs(determinant) < 1e-12) return null;
  return cofactors.map((value) => value / determinant);
}

/** The CSS transform, from the upper left corner, that lays an image over the query: where
 * the homography leads from a point of the query, there the image shows that point.
 *
 * Both elements have the same size. Of fractions f and pixels p = S f, with S = diag(width, height, 1),
 * pixels of the image go to S H⁻¹ S⁻¹ p.
 * @param {Matrix} homography from fractions of the query to fractions of the image
 * @param {number} width of the elements, in CSS pixels
 * @param {number} height
 * @returns {string} "none" where the homography has no inverse */
export function overlayTransform(homography, width, height) {
  const back = inverse(homography.length === 9 ? homography : IDENTITY);
  if (!back) return "none";
  const [a, b, c, d, e, f, g, h, i] = back;
  const scaled = [
    a,
    (b * width) / height,
    c * width,
    (d * height) / width,
    e,
    f * height,
    g / width,
    h / height,
    i,
  ];
  const [m11, m12, m13, m21, m22, m23, m31, m32, m33] = scaled.map((value) => value / scaled[8]);
  const columns = [m11, m21, 0, m31, m12, m22, 0, m32, 0, 0, 1, 0, m13, m23, 0, m33];
  return `matrix3d(${columns.map((value) => value.toFixed(8)).join(",")})`;
}
