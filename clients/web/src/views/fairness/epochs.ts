// The list of epochs, asked for: new ones come by themselves, earlier ones when somebody wants them.
import { StepError } from "step-client/errors.js";
import { useEffect, useState } from "preact/hooks";
import { ask, useAnswer, type Asked } from "../../shell/node.ts";
import type { FairnessList, Headline } from "./answers.ts";
import { withEarlier, withNewest, type Known } from "./growing.ts";

const PAGE = { limit: 50 };
const ASK_MS = 30_000;

export interface Epochs {
  newest: Asked<FairnessList>;
  epochs: readonly Headline[];
  /** What is below them: the way to earlier ones. */
  earlier: { error: StepError | undefined; isAsking: boolean; hasMore: boolean; more: () => void };
}

export function useEpochs(): Epochs {
  const newest = useAnswer<FairnessList>("/fairness", PAGE, ASK_MS);
  const [grown, setGrown] = useState<Known>();
  const [state, setState] = useState<{ isAsking: boolean; error?: StepError }>({ isAsking: false });
  const known = grown ?? (newest.answer && withNewest(undefined, newest.answer));
  useEffect(() => {
    if (newest.answer) setGrown((before) => withNewest(before, newest.answer!));
  }, [newest.answer]);

  const more = () => {
    const before = known?.earlier;
    if (!before || state.isAsking) return;
    setState({ isAsking: true });
    ask<FairnessList>("/fairness", { ...PAGE, before })
      .then((page) => {
        setGrown((now) => withEarlier(now, before, page));
        setState({ isAsking: false });
      })
      .catch((error: unknown) => {
        if (!(error instanceof StepError)) throw error;
        setState({ isAsking: false, error });
      });
  };
  return { newest, epochs: known?.epochs ?? [], earlier: { error: state.error, isAsking: state.isAsking, hasMore: Boolean(known?.earlier), more } };
}
