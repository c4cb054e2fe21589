// From what may be meant to where it is: asks the node where only it can tell.
import { locate, LEVEL_MAX, StepError } from "step-client";
import { ask } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import type { Language } from "../../shell/texts.ts";
import type { Batches } from "./answers.ts";
import type { City } from "./places.ts";
import type { Sought } from "./recognise.ts";

export const BATCHES_LOOKED_AT = 100;

export type Choice = { kind: "batch"; height: number } | { kind: "triangle"; triangleId: string } | { kind: "city"; city: City };

export type Found = { kind: "page"; address: string } | { kind: "choice"; of: Choice[] } | { kind: "nothing" } | { kind: "noSuchId" };

const NOTHING: Found = { kind: "nothing" };

/** Throws StepError where no node answers. */
export async function found(sought: readonly Sought[], language: Language, signal: AbortSignal): Promise<Found> {
  const [first, ...others] = sought;
  if (!first) return NOTHING;
  // Several only of a number.
  if (others.length) return { kind: "choice", of: sought.filter((one) => one.kind === "batch" || one.kind === "triangle") };
  switch (first.kind) {
    case "batch":
      return page("batch", first.height);
    case "triangle":
      return page("triangle", first.triangleId);
    case "account":
      return page("account", first.address);
    case "id":
      return ofId(first.id, signal);
    case "point":
      return page("triangle", await activeAt(first.lat, first.lon, signal));
    case "name":
      return ofName(first.name, language, signal);
  }
}

function page(...parts: (string | number)[]): Found {
  return { kind: "page", address: link(...parts) };
}

/** Of a proof, else of an operation, else the hash of a late batch: by hashes batches cannot be asked for. */
async function ofId(id: string, signal: AbortSignal): Promise<Found> {
  if (await isKnown(`/proof/status/${id}`, "PROOF_NOT_FOUND", signal)) return page("proof", id);
  if (await isKnown(`/operation/${id}`, "OPERATION_NOT_FOUND", signal)) return page("operation", id);
  const { batches } = await ask<Batches>("/batches", { limit: BATCHES_LOOKED_AT }, signal);
  const batch = batches.find((one) => one.batchHash === id);
  return batch ? page("batch", batch.height) : { kind: "noSuchId" };
}

async function isKnown(path: string, notFound: string, signal: AbortSignal): Promise<boolean> {
  try {
    await ask(path, {}, signal);
    return true;
  } catch (error) {
    if (error instanceof StepError && error.code === notFound) return false;
    throw error;
  }
}

/** The triangle to prove in; where all are used up, the smallest. */
async function activeAt(lat: number, lon: number, signal: AbortSignal): Promise<string> {
  try {
    const { result } = await ask<{ result: { triangleId: string } }>("/mesh/triangleAt", { lat, lon, level: "active" }, signal);
    return result.triangleId;
  } catch (error) {
    if (error instanceof StepError && error.code === "TRIANGLE_EXHAUSTED") return locate(lat, lon, LEVEL_MAX);
    throw error;
  }
}

async function ofName(name: string, language: Language, signal: AbortSignal): Promise<Found> {
  const { citiesNamed } = await import("./places.ts");
  const cities = citiesNamed(name, language);
  const [only, ...others] = cities;
  if (!only) return NOTHING;
  if (others.length) return { kind: "choice", of: cities.map((city) => ({ kind: "city", city })) };
  return page("triangle", await activeAt(only.lat, only.lon, signal));
}
