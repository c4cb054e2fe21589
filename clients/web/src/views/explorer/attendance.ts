// Who signed a batch, and whose signature is missing, as far as the validators' records of now tell who was in the set.
import type { Batch, Validator } from "./answers.ts";

export interface Attendance {
  validator: string;
  signed: boolean;
}

/** Whether its latest term in the set covers `height`; earlier terms are not told. */
export function wasInSet(validator: Validator, height: number): boolean {
  if (validator.state === "waiting") return false;
  const until = validator.activeUntilHeight ?? null;
  return validator.activeFromHeight <= height && (until === null || height < until);
}

/** In the order of addresses. Who signed was in the set, whatever the records say. */
export function attendance(batch: Pick<Batch, "height" | "commit">, validators: readonly Validator[]): Attendance[] {
  const signers = new Set(batch.commit.signatures.map((one) => one.validator));
  const members = new Set([...validators.filter((one) => wasInSet(one, batch.height)).map((one) => one.address), ...signers]);
  return [...members].sort().map((validator) => ({ validator, signed: signers.has(validator) }));
}

/** Of these batches, those in which it was in the set: how many, and how many it signed. */
export function participation(validator: Validator, batches: readonly Pick<Batch, "height" | "commit">[]): { of: number; signed: number } {
  const its = batches.map((batch) => attendance(batch, [validator]).find((one) => one.validator === validator.address));
  const there = its.filter((one) => one !== undefined);
  return { of: there.length, signed: there.filter((one) => one.signed).length };
}
