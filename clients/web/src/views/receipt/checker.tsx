// Somebody else's receipt, handed in as a file, as text, or before the camera.
import { useEffect, useRef, useState } from "preact/hooks";
import { say } from "../../shell/texts.ts";
import { cameraTroubles, receiptTexts as texts } from "../../texts/receipt.ts";
import { RECEIPT_BYTES_MAX, receiptOfFile, receiptOfText } from "../../receipts/forms.ts";
import { CameraError, scan, type CameraTrouble } from "../../receipts/scanning.ts";

interface Props {
  onReceipt: (receipt: string | Uint8Array) => void;
}

export function Checker({ onReceipt }: Props) {
  const [isOpen, setOpen] = useState(false);
  const [isTooLarge, setTooLarge] = useState(false);
  const takeFile = async (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const file = input.files?.[0];
    if (!file) return;
    setTooLarge(file.size > RECEIPT_BYTES_MAX);
    if (file.size <= RECEIPT_BYTES_MAX) onReceipt(receiptOfFile(new Uint8Array(await file.arrayBuffer())));
    input.value = ""; // So that the same file can be chosen again.
  };
  const takeText = (event: SubmitEvent) => {
    event.preventDefault();
    onReceipt(receiptOfText(String(new FormData(event.currentTarget as HTMLFormElement).get("receipt"))));
  };
  return (
    <section class="card checker">
      <label class="button from-file">
        {say(texts.file)}
        <input type="file" class="unseen" accept=".json,.cbor,.txt,application/json,application/cbor" onChange={(event) => void takeFile(event)} />
      </label>
      {isTooLarge && <p role="alert" class="bad">{say(texts.tooLarge)}</p>}
      <form onSubmit={takeText}>
        <label>
          {say(texts.paste)}
          <textarea name="receipt" rows={3} required maxLength={RECEIPT_BYTES_MAX} placeholder={say(texts.pasteHint)} spellcheck={false} />
        </label>
        <button>{say(texts.check)}</button>
      </form>
      {isOpen ? <Camera onReceipt={(receipt) => (setOpen(false), onReceipt(receipt))} onClose={() => setOpen(false)} /> : (
        <button type="button" onClick={() => setOpen(true)}>{say(texts.camera)}</button>
      )}
    </section>
  );
}

function Camera({ onReceipt, onClose }: Props & { onClose: () => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [trouble, setTrouble] = useState<CameraTrouble>();
  const [isOther, setOther] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    const tell = (text: string) => {
      const receipt = receiptOfText(text);
      // Text that is not ours stays text.
      if (typeof receipt === "string" && !receipt.startsWith("{")) return setOther(true);
      stop.abort();
      onReceipt(receipt);
    };
    scan(video.current!, tell, stop.signal).catch((error: unknown) => {
      if (!(error instanceof CameraError)) throw error;
      setTrouble(error.trouble);
    });
    return () => stop.abort();
  }, []);
  return (
    <div class="camera">
      {trouble === undefined && <p class="quiet">{say(texts.cameraHint)}</p>}
      <video ref={video} muted playsInline hidden={trouble !== undefined} aria-label={say(texts.camera)} />
      <p role="status" class="warn">{trouble ? say(cameraTroubles[trouble]) : isOther && say(texts.notACode)}</p>
      <button type="button" onClick={onClose}>{say(texts.closeCamera)}</button>
    </div>
  );
}
