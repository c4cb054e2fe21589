// Which triangle holds a point: the arithmetic of docs/mesh-arithmetic.md to the last bit. Only + - * / and Math.sqrt,
// which every engine rounds alike, decide; never Math.sin or Math.atan2, which engines may round as they like.
import { LEVEL_MAX, parseTriangle, triangleText } from "./triangle.js";

/** @typedef {import("../step-client.js").Vector} Vector */
/** @typedef {[Vector, Vector, Vector]} Corners */

// pi / 180 in two parts, and the first of them in two halves whose products are exact (section 1: K, L, K0, K1).
const K = 0.017453292519943295;
const L = 2.9486522708701687e-19;
const K0 = 0.01745329238474369;
const K1 = 1.3519960498364902e-10;
const SPLITTER = 134217729;

const FACTORIALS = [1];
for (let n = 1; n <= 17; n += 1) FACTORIALS.push(FACTORIALS[n - 1] * n);
const INVERSE = FACTORIALS.map((factorial) => 1 / factorial);

const PHI = (1 + Math.sqrt(5)) / 2;
const NORM = Math.sqrt(1 + PHI * PHI);
const SHORT = 1 / NORM;
const LONG = PHI / NORM;

/** @type {Vector[]} */
const VERTICES = [
  [-SHORT, LONG, 0], [SHORT, LONG, 0], [-SHORT, -LONG, 0], [SHORT, -LONG, 0],
  [0, -SHORT, LONG], [0, SHORT, LONG], [0, -SHORT, -LONG], [0, SHORT, -LONG],
  [LONG, 0, -SHORT], [LONG, 0, SHORT], [-LONG, 0, -SHORT], [-LONG, 0, SHORT],
];
const FACES = [
  [0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8],
  [3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1],
];

/** @type {typeof import("../step-client.js").locate} */
export function locate(lat, lon, level) {
  if (!Number.isInteger(level) || level < 1 || level > LEVEL_MAX) {
    throw new RangeError(`level: must be an integer from 1 to ${LEVEL_MAX}`);
  }
  const point = unitVector(lat, lon);
  const face = faceOf(point);
  let [v0, v1, v2] = FACES[face].map((vertex) => VERTICES[vertex]);
  let digits = "";
  while (digits.length < level - 1) {
    const m01 = middle(v0, v1);
    const m12 = middle(v1, v2);
    const m20 = middle(v2, v0);
    if (side(m20, m01, point) < 0) {
      digits += "0";
      [v1, v2] = [m01, m20];
    } else if (side(m01, m12, point) < 0) {
      digits += "1";
      [v0, v2] = [m01, m12];
    } else if (side(m12, m20, point) < 0) {
      digits += "2";
      [v0, v1] = [m20, m12];
    } else {
      digits += "3";
      [v0, v1, v2] = [m01, m12, m20];
    }
  }
  return triangleText({ face, level, digits });
}

/** @type {typeof import("../step-client.js").unitVector} */
export function unitVector(lat, lon) {
  const [sineLat, cosineLat] = sineCosine("lat", lat, 90);
  const [sineLon, cosineLon] = sineCosine("lon", lon, 180);
  return [cosineLat * cosineLon, cosineLat * sineLon, sineLat];
}

/** @type {typeof import("../step-client.js").vertices} */
export function vertices(text) {
  const { face, digits } = parseTriangle(text);
  /** @type {Corners} */
  let corners = [VERTICES[FACES[face][0]], VERTICES[FACES[face][1]], VERTICES[FACES[face][2]]];
  for (const digit of digits) {
    const [v0, v1, v2] = corners;
    const m01 = middle(v0, v1);
    const m12 = middle(v1, v2);
    const m20 = middle(v2, v0);
    /** @type {Corners[]} */
    const fourth = [[v0, m01, m20], [m01, v1, m12], [m20, m12, v2], [m01, m12, m20]];
    corners = fourth[Number(digit)];
  }
  return corners;
}

// The way back to degrees is for drawing: its last bit may differ from engine to engine.
/** @type {typeof import("../step-client.js").polygon} */
export function polygon(text) {
  const [v0, v1, v2] = vertices(text);
  return [v0, v1, v2, v0].map(position);
}

/** @type {typeof import("../step-client.js").centroid} */
export function centroid(text) {
  const [a, b, c] = vertices(text);
  return position([a[0] + b[0] + c[0], a[1] + b[1] + c[1], a[2] + b[2] + c[2]]);
}

/** @type {(point: Vector) => [number, number]} */
function position([x, y, z]) {
  const degrees = 180 / Math.PI;
  // Adding 0 makes a -0 into 0, for which atan2 would give -180 or -0.
  return [Math.atan2(y + 0, x + 0) * degrees, Math.atan2(z, Math.hypot(x, y)) * degrees];
}

/** @type {(name: string, angle: number, limit: number) => [number, number]} */
function sineCosine(name, angle, limit) {
  if (typeof angle !== "number" || !(Math.abs(angle) <= limit)) {
    throw new RangeError(`${name}: must be a number of degrees from -${limit} to ${limit}`);
  }
  if (angle > 135 || angle < -135) {
    const [sine, cosine] = reduced(angle > 0 ? angle - 180 : angle + 180);
    return [-sine, -cosine];
  }
  if (angle > 45) {
    const [sine, cosine] = reduced(angle - 90);
    return [cosine, -sine];
  }
  if (angle < -45) {
    const [sine, cosine] = reduced(angle + 90);
    return [-cosine, sine];
  }
  return reduced(angle);
}

/** Sine and cosine of an angle of at most 45 degrees. @type {(angle: number) => [number, number]} */
function reduced(angle) {
  const x = angle * K;
  const u = SPLITTER * angle;
  const r0 = u - (u - angle);
  const r1 = angle - r0;
  let e = r0 * K0 - x;
  e = e + r0 * K1;
  e = e + r1 * K0;
  e = e + r1 * K1;
  const t = e + angle * L;
  const q = x * x;
  let S = INVERSE[15] - q * INVERSE[17];
  for (let n = 13; n >= 3; n -= 2) S = INVERSE[n] - q * S;
  let C = INVERSE[14] - q * INVERSE[16];
  for (let n = 12; n >= 4; n -= 2) C = INVERSE[n] - q * C;
  const h = 0.5 * q;
  const w = 1 - h;
  return [x - (x * q * S - t * (1 - 0.5 * q)), w + (1 - w - h + (q * q * C - x * t))];
}

/** The base face that holds a point; on an edge the lowest that touches (section 2). @param {Vector} point */
function faceOf(point) {
  const [X, Y, Z] = point.map(Math.abs);
  const psi = PHI - 1;
  const sides = [Y - (PHI * X + psi * Z), Z - (PHI * Y + psi * X), X - (PHI * Z + psi * Y)];
  const beyond = [[0, 5, 1], [4, 9, 5], [9, 8, 1]];
  let regions = beyond.filter((_, index) => sides[index] > 0);
  if (regions.length === 0) regions = [[1, 5, 9], ...beyond.filter((_, index) => sides[index] === 0)];
  const choices = point.map((coordinate) => (coordinate === 0 ? [1, -1] : [Math.sign(coordinate)]));
  const octants = choices[0].flatMap((sx) => choices[1].flatMap((sy) => choices[2].map((sz) => [sx, sy, sz])));
  const touching = regions.flatMap((region) => octants.map((octant) => faceWith(region, octant)));
  return Math.min(...touching);
}

/** The face whose vertices are a region's, mirrored. @type {(region: number[], octant: number[]) => number} */
function faceWith(region, octant) {
  const mirrored = region.map((vertex) =>
    VERTICES.findIndex((other) => other.every((coordinate, axis) => coordinate === VERTICES[vertex][axis] * octant[axis])),
  );
  return FACES.findIndex((face) => mirrored.every((vertex) => face.includes(vertex)));
}

/** @type {(a: Vector, b: Vector) => Vector} */
function middle(a, b) {
  const x = a[0] + b[0];
  const y = a[1] + b[1];
  const z = a[2] + b[2];
  const n = Math.sqrt(x * x + y * y + z * z);
  return [x / n, y / n, z / n];
}

/** @type {(a: Vector, b: Vector, p: Vector) => number} */
function side([ax, ay, az], b, p) {
  const ex = b[0] - ax;
  const ey = b[1] - ay;
  const ez = b[2] - az;
  const ux = p[0] - ax;
  const uy = p[1] - ay;
  const uz = p[2] - az;
  return ax * (ey * uz - ez * uy) + ay * (ez * ux - ex * uz) + az * (ex * uy - ey * ux);
}
