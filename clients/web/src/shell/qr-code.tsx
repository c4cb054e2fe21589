// A text as a QR code, as large as there is room. What makes it is loaded with the first one.
import { useEffect, useState } from "preact/hooks";

/** Modules that must stay white around a code. */
const BORDER = 4;

interface Props {
  text: string;
  /** What it is, for whoever does not see it. */
  label: string;
  /** The lowest correction (L) for what is long. */
  correction?: "L" | "M";
}

export function QrCode({ text, label, correction = "M" }: Props) {
  const [drawn, setDrawn] = useState<{ size: number; path: string }>();
  useEffect(() => {
    let wanted = true;
    // Without a connection, and not kept yet: what it stands for is beside it as text or file.
    import("uqr").then(({ encode }) => {
      const { size, data: rows } = encode(text, { ecc: correction, boostEcc: false, border: BORDER });
      if (wanted) setDrawn({ size, path: pathOf(rows) });
    }, () => undefined);
    return () => {
      wanted = false;
    };
  }, [text]);
  return drawn ? (
    <svg class="qr" role="img" aria-label={label} viewBox={`0 0 ${drawn.size} ${drawn.size}`} shape-rendering="crispEdges">
      <rect width={drawn.size} height={drawn.size} class="code-ground" />
      <path d={drawn.path} class="code-ink" />
    </svg>
  ) : null;
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
