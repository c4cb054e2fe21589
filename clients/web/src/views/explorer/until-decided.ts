// What became of a proof or an operation: asked again for as long as it waits, and not after.
import { useEffect, useState } from "preact/hooks";
import { useAnswer, type Asked } from "../../shell/node.ts";

const LOOK_AGAIN_MS = 2_000;

export function useUntilDecided<T extends { status: string }>(path: string): Asked<T> {
  const [isPending, setPending] = useState(false);
  const asked = useAnswer<T>(path, undefined, isPending ? LOOK_AGAIN_MS : undefined);
  const status = asked.answer?.status;
  useEffect(() => setPending(status === "pending"), [status]);
  return asked;
}
