// Why something did not work, as a sentence, and what to do about it: with buttons for what can be done at once.
import { StepError } from "step-client/errors.js";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Explained, Refusal } from "./explained.ts";
import { say, type Text } from "./texts.ts";

type Words = typeof import("../texts/codes.ts").notice;

interface Props {
  error: StepError | Refusal;
  /** Does the same again. */
  again?: () => void;
  /** Proves in the triangle that the refusal names. */
  onInstead?: (triangle: { triangleId: string; level: number }) => void;
  children?: ComponentChildren;
}

/** Its sentences come when they are first wanted, so that no page is longer by them. */
export function Notice({ error, again, onInstead, children }: Props) {
  const [told, setTold] = useState<{ explained: Explained; words: Words }>();
  useEffect(() => {
    let wanted = true;
    void Promise.all([import("./explained.ts"), import("../texts/codes.ts")]).then(([{ explained }, { notice }]) => {
      if (wanted) setTold({ explained: explained(error), words: notice });
    });
    return () => {
      wanted = false;
    };
  }, [error]);
  const instead = error.details?.tryInstead;
  return (
    <div class="card notice" role="alert">
      {told && (
        <>
          <p>
            <strong>{say(told.explained.happened, told.explained.values)}</strong> {say(told.explained.advice, told.explained.values)}
          </p>
          <div class="actions">
            {instead && onInstead && (
              <button type="button" class="main" onClick={() => onInstead(instead)}>
                {say(told.words.proveThere, { level: instead.level })}
              </button>
            )}
            {again && (
              <button type="button" onClick={again}>
                {say(told.words.again)}
              </button>
            )}
            {children}
          </div>
          <Exactly error={error} words={told.words} />
        </>
      )}
    </div>
  );
}

/** For whoever reports it. */
function Exactly({ error, words }: { error: Refusal; words: Words }) {
  const facts: [Text, string | null | undefined][] = [
    [words.code, error.code],
    [words.message, error.message],
    [words.node, error.node],
  ];
  return (
    <details class="quiet">
      <summary>{say(words.exactly)}</summary>
      <dl class="facts">
        {facts.map(([name, value]) => value && [<dt>{say(name)}</dt>, <dd>{value}</dd>])}
      </dl>
    </details>
  );
}
