// The world's outlines, of Natural Earth (by world-atlas), as the globe draws them: land cut into cells, so that what is not
// on the screen is passed over and no piece ever reaches around the globe; and borders between countries. Whole numbers,
// each the difference from the one before, in `perDegree` parts of a degree.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { feature, mesh } from "topojson-client";

/** By the name after `outlines:`. What is seen from afar comes first; the finer set is asked for when somebody looks closer. */
const SETS = { coarse: { scale: "110m", perDegree: 20 }, fine: { scale: "50m", perDegree: 200 } };

const CELL_DEGREES = 10;
/** A parallel is no great circle: along a cell's edge there is a point every so often, the same for both neighbours. */
const PARALLEL_STEP_DEGREES = 5;

/** For esbuild: `import("outlines:coarse")`. */
export function outlines(root) {
  return {
    name: "outlines",
    setup(build) {
      build.onResolve({ filter: /^outlines:/ }, ({ path }) => ({ path: path.slice("outlines:".length), namespace: "outlines" }));
      build.onLoad({ filter: /.*/, namespace: "outlines" }, async ({ path }) => {
        const { scale, perDegree } = SETS[path];
        const atlas = JSON.parse(await readFile(join(root, `node_modules/world-atlas/countries-${scale}.json`), "utf8"));
        // Browsers read data that are text in a script faster than data that are script.
        return { contents: `export default JSON.parse('${JSON.stringify(outlinesOf(atlas, perDegree))}');`, loader: "js" };
      });
    },
  };
}

export function outlinesOf(atlas, perDegree) {
  const [{ geometry }] = feature(atlas, atlas.objects.land).features;
  const polygons = geometry.type === "MultiPolygon" ? geometry.coordinates : [geometry.coordinates];
  const land = polygons.flat().flatMap(cut);
  const borders = mesh(atlas, atlas.objects.countries, (one, other) => one !== other).coordinates;
  const written = (lines, least) => lines.map((line) => differences(line, perDegree)).filter((line) => line.length >= 2 * least);
  return { perDegree, land: written(land, 3), borders: written(borders, 2) };
}

/** The pieces of a ring, cell by cell. */
function cut(ring) {
  const whole = unrolled(ring);
  const lons = whole.map(([lon]) => lon);
  const lats = whole.map(([, lat]) => lat);
  const pieces = [];
  const first = (value) => Math.floor(value / CELL_DEGREES) * CELL_DEGREES;
  for (let west = first(Math.min(...lons)); west < Math.max(...lons); west += CELL_DEGREES) {
    const column = halfPlanes(whole, 0, west, west + CELL_DEGREES);
    for (let south = first(Math.min(...lats)); column.length > 2 && south < Math.max(...lats); south += CELL_DEGREES) {
      const piece = halfPlanes(column, 1, south, south + CELL_DEGREES);
      if (piece.length > 2) pieces.push(withSteps(piece, [south, south + CELL_DEGREES]));
    }
  }
  return pieces;
}

/** Without jumps at the antimeridian; a ring around a pole is led to the pole and back. */
function unrolled(ring) {
  let turn = 0;
  const points = ring.map(([lon, lat], index) => {
    const step = index === 0 ? 0 : lon - ring[index - 1][0];
    if (step > 180) turn -= 360;
    if (step < -180) turn += 360;
    return [lon + turn, lat];
  });
  const [start, end] = [points[0], points.at(-1)];
  if (Math.abs(end[0] - start[0]) < 1) return points.slice(0, -1);
  const pole = start[1] < 0 ? -90 : 90;
  return [...points, [end[0], pole], [start[0], pole]];
}

/** What of a polygon lies between two values of a coordinate (Sutherland and Hodgman). */
function halfPlanes(points, axis, low, high) {
  const clipped = (given, isIn, bound) =>
    given.flatMap((point, index) => {
      const before = given.at(index - 1);
      const crossing = () => {
        const share = (bound - before[axis]) / (point[axis] - before[axis]);
        const other = before[1 - axis] + share * (point[1 - axis] - before[1 - axis]);
        return axis === 0 ? [bound, other] : [other, bound];
      };
      if (isIn(point)) return isIn(before) ? [point] : [crossing(), point];
      return isIn(before) ? [crossing()] : [];
    });
  return clipped(clipped(points, (point) => point[axis] >= low, low), (point) => point[axis] <= high, high);
}

function withSteps(piece, edges) {
  return piece.flatMap((point, index) => {
    const next = piece[(index + 1) % piece.length];
    const isAlongEdge = point[1] === next[1] && edges.includes(point[1]) && Math.abs(point[1]) < 90;
    return isAlongEdge ? [point, ...stepsBetween(point[0], next[0]).map((lon) => [lon, point[1]])] : [point];
  });
}

function stepsBetween(from, to) {
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  const steps = [];
  for (let lon = (Math.floor(low / PARALLEL_STEP_DEGREES) + 1) * PARALLEL_STEP_DEGREES; lon < high; lon += PARALLEL_STEP_DEGREES) steps.push(lon);
  return from < to ? steps : steps.reverse();
}

function differences(points, perDegree) {
  const flat = [];
  let [lastLon, lastLat] = [0, 0];
  for (const point of points) {
    const [lon, lat] = point.map((degrees) => Math.round(degrees * perDegree));
    if (flat.length > 0 && lon === lastLon && lat === lastLat) continue;
    flat.push(lon - lastLon, lat - lastLat);
    [lastLon, lastLat] = [lon, lat];
  }
  return flat;
}
