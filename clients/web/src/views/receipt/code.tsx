// A receipt as a QR code, as large as the screen is wide.
import { QrCode } from "../../shell/qr-code.tsx";
import { say } from "../../shell/texts.ts";
import { receiptTexts as texts } from "../../texts/receipt.ts";
import { codeOf } from "../../receipts/forms.ts";

export function Code({ data }: { data: string | Uint8Array }) {
  const text = codeOf(data);
  if (text === null) return <p class="warn">{say(texts.tooLong)}</p>;
  return (
    <figure class="code">
      <QrCode text={text} label={say(texts.codeLabel)} correction="L" />
      <figcaption class="quiet">{say(texts.codeHint)}</figcaption>
    </figure>
  );
}
