// For a map's scale.

/** The longest of 1, 2 or 5 times a power of ten that is not longer than `metresMax`. */
export function roundLengthM(metresMax: number): number {
  const power = 10 ** Math.floor(Math.log10(metresMax));
  return ([5, 2, 1].find((times) => times * power <= metresMax) ?? 1) * power;
}
