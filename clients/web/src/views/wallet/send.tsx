// Sending STEP: a form, a look at what will be signed, and what became of it.
import type { SignedTransfer } from "step-client";
import { useEffect, useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { StepHeading } from "../../shell/heading.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { sending } from "../../texts/sending.ts";
import { type Account, useAccount } from "../../wallet/accounts.ts";
import { type Applied, pendingTransfer, sendKept, signAndKeep } from "../../wallet/sending.ts";
import type { Written } from "../../wallet/transfers.ts";
import { AppliedCard, OnItsWay, Review } from "./send-steps.tsx";
import { TransferForm } from "./transfer-form.tsx";
import { Welcome } from "./welcome.tsx";

export default function Send() {
  const account = useAccount();
  return account ? <SendFrom key={account.address} account={account} /> : <Welcome />;
}

type Step =
  | { is: "writing"; written: Written }
  | { is: "reviewing"; transfer: Written }
  | { is: "signing"; transfer: Written }
  | { is: "sending"; signed: SignedTransfer }
  | { is: "stuck"; signed: SignedTransfer }
  | { is: "applied"; signed: SignedTransfer; applied: Applied };

const EMPTY: Written = { to: "", amount: "", memo: "" };

function SendFrom({ account }: { account: Account }) {
  const { address } = account;
  const { answer, again } = useAnswer<{ balance: string }>(`/account/${address}`);
  const [step, setStep] = useState<Step>({ is: "writing", written: EMPTY });
  const [fault, setFault] = useState<Told>();

  const send = async (signed: SignedTransfer) => {
    setFault(undefined);
    setStep({ is: "sending", signed });
    try {
      setStep({ is: "applied", signed, applied: await sendKept(signed) });
    } catch (error) {
      setFault(told(error));
      // What is not kept any more was refused for good, and may be written anew.
      const left = await pendingTransfer(address);
      setStep(left ? { is: "stuck", signed: left } : { is: "writing", written: signed.form });
    }
    again();
  };
  const sign = async (transfer: Written) => {
    setFault(undefined);
    setStep({ is: "signing", transfer });
    try {
      // Another tab may have begun one meanwhile: that one goes first.
      const before = await pendingTransfer(address);
      if (before) setStep({ is: "stuck", signed: before });
      else await send(await signAndKeep(transfer));
    } catch (error) {
      setFault(told(error));
      setStep({ is: "reviewing", transfer });
    }
  };
  useEffect(() => {
    // One that was on its way when the page was left is gone on with.
    void pendingTransfer(address).then((signed) => signed && send(signed), () => undefined);
  }, [address]);

  const title = step.is === "reviewing" || step.is === "signing" ? sending.reviewTitle : sending.title;
  return (
    <section class="card narrow">
      <div class="head">
        <StepHeading key={title.en}>{say(title)}</StepHeading>
        <a href={link("wallet")}>{say(sending.toWallet)}</a>
      </div>
      {fault && <Fault error={fault} />}
      {step.is === "writing" && (
        <TransferForm
          owner={address}
          balance={answer?.balance ?? null}
          written={step.written}
          onRead={(transfer) => (setFault(undefined), setStep({ is: "reviewing", transfer }))}
        />
      )}
      {(step.is === "reviewing" || step.is === "signing") && (
        <Review
          account={account}
          transfer={step.transfer}
          balance={answer?.balance ?? null}
          isSigning={step.is === "signing"}
          onSign={() => void sign(step.transfer)}
          onChange={() => setStep({ is: "writing", written: step.transfer })}
        />
      )}
      {(step.is === "sending" || step.is === "stuck") && (
        <OnItsWay
          signed={step.signed}
          isStuck={step.is === "stuck"}
          onAgain={() => void send(step.signed)}
          onGivenUp={() => (setFault(undefined), setStep({ is: "writing", written: EMPTY }))}
        />
      )}
      {step.is === "applied" && <AppliedCard {...step} onAnother={() => setStep({ is: "writing", written: EMPTY })} />}
    </section>
  );
}
