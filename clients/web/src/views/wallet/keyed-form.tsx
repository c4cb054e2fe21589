// The frame of every form that makes or takes in a key: one thing at a time, how far it is, and what went wrong.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { StepHeading } from "../../shell/heading.tsx";
import { link } from "../../shell/router.ts";
import { say, type Text } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import type { Progress } from "../../wallet/sealing.ts";

interface Props {
  title: Text;
  action: Text;
  /** What is said while it works, with `{percent}`. */
  working?: Text;
  act: (form: HTMLFormElement, progress: Progress) => Promise<void>;
  children: ComponentChildren;
}

export function KeyedForm({ title, action, working = wallet.sealing, act, children }: Props) {
  const [fault, setFault] = useState<Told>();
  const [done, setDone] = useState<number>();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (done !== undefined) return;
    setFault(undefined);
    setDone(0);
    try {
      await act(event.currentTarget as HTMLFormElement, setDone);
    } catch (error) {
      setFault(told(error));
    } finally {
      setDone(undefined);
    }
  };
  return (
    <section class="card narrow">
      <StepHeading>{say(title)}</StepHeading>
      <form onSubmit={(event) => void submit(event)}>
        {children}
        {fault && <Fault error={fault} />}
        <p role="status" class="quiet">
          {done !== undefined && (done > 0 ? say(working, { percent: Math.round(done * 100) }) : say(wallet.working))}
        </p>
        <p class="actions">
          <button class="main" disabled={done !== undefined}>{say(action)}</button>
          <a class="button" href={link("wallet")}>{say(wallet.cancel)}</a>
        </p>
      </form>
    </section>
  );
}
