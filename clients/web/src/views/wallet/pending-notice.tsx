// On the wallet's first page: that a transfer is on its way still, or was when the app was closed.
import { useEffect, useState } from "preact/hooks";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { sending } from "../../texts/sending.ts";
import { pendingTransfer } from "../../wallet/sending.ts";

export function PendingNotice({ account }: { account: string }) {
  const [isThere, setIsThere] = useState(false);
  useEffect(() => {
    // A browser that keeps nothing has none.
    pendingTransfer(account).then((signed) => setIsThere(signed !== undefined), () => setIsThere(false));
  }, [account]);
  if (!isThere) return null;
  return (
    <div class="card notice">
      <p>{say(sending.stuck)}</p>
      <div class="actions"><a class="button" href={link("wallet", "send")}>{say(sending.again)}</a></div>
    </div>
  );
}
