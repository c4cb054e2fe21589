declare module "outlines:*" {
  /** See scripts/outlines.mjs. */
  const set: { perDegree: number; land: number[][]; borders: number[][] };
  export default set;
}
