// A receipt as a QR code, as large as the screen is wide.
import { useEffect, useState } from "preact/hooks";
import { say } from "../../shell/texts.ts";
import { receiptTexts as texts } from "../../texts/receipt.ts";
import { codeOf } from "../../receipts/forms.ts";

/** Modules that must stay white around a code. */
const BORDER = 4;

export function Code({ data }: { data: string | Uint8Array }) {
  const text = codeOf(data);
  const [drawn, setDrawn] = useState<{ size: number; path: string }>();
  useEffect(() => {
    if (text === null) return undefined;
    let wanted = true;
    void import("uqr").then(({ encode }) => {
      const { size, data: rows } = encode(text, { ecc: "L", boostEcc: false, border: BORDER });
      if (wanted) setDrawn({ size, path: pathOf(rows) });
    });
    return () => {
      wanted = false;
    };
  }, [text]);
  if (text === null) return <p class="warn">{say(texts.tooLong)}</p>;
  return (
    <figure class="code">
      {drawn && (
        <svg role="img" aria-label={say(texts.codeLabel)} viewBox={`0 0 ${drawn.size} ${drawn.size}`} shape-rendering="crispEdges">
          <rect width={drawn.size} height={drawn.size} class="code-ground" />
          <path d={drawn.path} class="code-ink" />
        </svg>
      )}
      <figcaption class="quiet">{say(texts.codeHint)}</figcaption>
    </figure>
  );
}

/** Dark modules, those side by side as one. */
function pathOf(rows: readonly (readonly boolean[])[]): string {
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x += 1) {
      if (!row[x]) continue;
      const begin = x;
      while (row[x + 1]) x += 1;
      path += `M${begin} ${y}h${x + 1 - begin}v1h${begin - x - 1}z`;
    }
  });
  return path;
}
