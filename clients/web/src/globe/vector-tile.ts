// Vector tiles (Mapbox Vector Tile 2, in Protocol Buffers) as far as the map draws them. What is no tile throws a RangeError;
// nothing that a tile says makes this run or grow without bound.

export type Kind = "point" | "line" | "area";

export interface Feature {
  kind: Kind;
  /** Points as x, y, x, y…, in `extent` parts of the tile. */
  parts: Float32Array[];
  /** Its texts; other values are left out. */
  tags: Readonly<Record<string, string>>;
}

export interface Layer {
  name: string;
  extent: number;
  features: Feature[];
}

const POINTS_MAX = 200_000;
const KINDS: readonly (Kind | undefined)[] = [undefined, "point", "line", "area"];
const [VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES] = [0, 1, 2, 5];

/** The layers of these names. */
export function vectorTile(bytes: Uint8Array, names: ReadonlySet<string>): Layer[] {
  const layers: Layer[] = [];
  const budget = { points: POINTS_MAX };
  new Fields(bytes).each((number, field) => {
    if (number === 3) {
      const layer = layerOf(field.bytes(), names, budget);
      if (layer) layers.push(layer);
    } else field.skip();
  });
  return layers;
}

function layerOf(bytes: Uint8Array, names: ReadonlySet<string>, budget: { points: number }): Layer | null {
  const [features, keys, values]: [Uint8Array[], string[], (string | undefined)[]] = [[], [], []];
  let name = "";
  let extent = 4096;
  new Fields(bytes).each((number, field) => {
    if (number === 1) name = field.text();
    else if (number === 2) features.push(field.bytes());
    else if (number === 3) keys.push(field.text());
    else if (number === 4) values.push(textOf(field.bytes()));
    else if (number === 5) extent = field.varint();
    else field.skip();
  });
  if (!names.has(name)) return null;
  if (extent < 1) throw new RangeError("tile: a layer's extent must be 1 or more");
  return { name, extent, features: features.map((feature) => featureOf(feature, keys, values, budget)) };
}

function textOf(bytes: Uint8Array): string | undefined {
  let text: string | undefined;
  new Fields(bytes).each((number, field) => {
    if (number === 1) text = field.text();
    else field.skip();
  });
  return text;
}

function featureOf(bytes: Uint8Array, keys: string[], values: (string | undefined)[], budget: { points: number }): Feature {
  let [tagged, geometry]: [number[], number[]] = [[], []];
  let kind: Kind = "point";
  new Fields(bytes).each((number, field) => {
    if (number === 2) tagged = new Fields(field.bytes()).varints();
    else if (number === 3) kind = KINDS[field.varint()] ?? "point";
    else if (number === 4) geometry = new Fields(field.bytes()).varints();
    else field.skip();
  });
  const tags = new Map<string, string>();
  for (let at = 0; at + 1 < tagged.length; at += 2) {
    const [key, value] = [keys[tagged[at]!], values[tagged[at + 1]!]];
    if (key !== undefined && value !== undefined) tags.set(key, value);
  }
  return { kind, parts: partsOf(geometry, kind, budget), tags: Object.fromEntries(tags) };
}

/** Commands: 1 moves (and begins a part), 2 draws lines, 7 closes. */
function partsOf(commands: number[], kind: Kind, budget: { points: number }): Float32Array[] {
  const parts: number[][] = [];
  let [x, y, at] = [0, 0, 0];
  while (at < commands.length) {
    const [command, count] = [commands[at]! & 7, commands[at]! >>> 3];
    at += 1;
    if (command === 7) continue;
    if ((command !== 1 && command !== 2) || at + 2 * count > commands.length) throw new RangeError("tile: no such geometry");
    budget.points -= count;
    if (budget.points < 0) throw new RangeError(`tile: more than ${POINTS_MAX} points`);
    for (let times = 0; times < count; times += 1, at += 2) {
      x += signed(commands[at]!);
      y += signed(commands[at + 1]!);
      if (command === 1 && (kind !== "point" || parts.length === 0)) parts.push([]);
      const part = parts.at(-1);
      if (!part) throw new RangeError("tile: a line must begin somewhere");
      part.push(x, y);
    }
  }
  return parts.map((part) => Float32Array.from(part));
}

function signed(zigzag: number): number {
  return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
}

/** The fields of a message of Protocol Buffers. */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;
  #wire = VARINT;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Calls `take` for each field; it takes the value by one of the methods below. */
  each(take: (number: number, field: Fields) => void): void {
    while (this.#at < this.#bytes.length) {
      const key = this.varint();
      this.#wire = key % 8;
      const before = this.#at;
      take(Math.floor(key / 8), this);
      if (this.#at === before) throw new RangeError("tile: an empty field");
    }
  }

  varint(): number {
    let [value, scale] = [0, 1];
    for (let length = 0; length < 10; length += 1) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError("tile: it breaks off");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new RangeError("tile: a number of more than ten bytes");
  }

  bytes(): Uint8Array {
    if (this.#wire !== LENGTH) throw new RangeError("tile: a field of another kind than it should be");
    const length = this.varint();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("tile: it breaks off");
    const found = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return found;
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  varints(): number[] {
    const found: number[] = [];
    while (this.#at < this.#bytes.length) found.push(this.varint());
    return found;
  }

  skip(): void {
    if (this.#wire === VARINT) this.varint();
    else if (this.#wire === LENGTH) this.bytes();
    else if (this.#wire === EIGHT_BYTES) this.#at += 8;
    else if (this.#wire === FOUR_BYTES) this.#at += 4;
    else throw new RangeError("tile: no such kind of field");
    if (this.#at > this.#bytes.length) throw new RangeError("tile: it breaks off");
  }
}
