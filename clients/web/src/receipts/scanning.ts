// QR codes before the camera: read by the browser where it can, else by jsQR, which is loaded then.

type Read = (video: HTMLVideoElement) => Promise<string | null>;

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}
declare const BarcodeDetector: { new (options: { formats: string[] }): Detector; getSupportedFormats(): Promise<string[]> };

const EVERY_MS = 150;
/** Fine enough for the densest code, and no finer than a phone reads several times a second. */
const WIDTH_IDEAL = 1_280;

/** Why there is no picture: the person has said no, there is no camera, or something else has it. */
export type CameraTrouble = "denied" | "none" | "busy" | "insecure";

export class CameraError extends Error {
  readonly trouble: CameraTrouble;

  constructor(trouble: CameraTrouble, cause?: unknown) {
    super(trouble, { cause });
    this.name = "CameraError";
    this.trouble = trouble;
  }
}

/** Shows the camera in `video` and tells each text that is read, until `signal` aborts. Throws CameraError. */
export async function scan(video: HTMLVideoElement, tell: (text: string) => void, signal: AbortSignal): Promise<void> {
  const stream = await camera();
  try {
    if (signal.aborted) return;
    video.srcObject = stream;
    await video.play();
    const read = await reader();
    while (!signal.aborted) {
      const text = await read(video);
      if (text !== null && !signal.aborted) tell(text);
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  } catch (error) {
    // `play` is interrupted where the person closes the camera before the first picture.
    if (!signal.aborted) throw error;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

async function camera(): Promise<MediaStream> {
  if (!navigator.mediaDevices) throw new CameraError(isSecureContext ? "none" : "insecure");
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: WIDTH_IDEAL } } });
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new CameraError(TROUBLES[error.name] ?? "busy", error);
  }
}

const TROUBLES: Readonly<Record<string, CameraTrouble>> = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "none",
  OverconstrainedError: "none",
};

async function reader(): Promise<Read> {
  if ("BarcodeDetector" in globalThis && (await BarcodeDetector.getSupportedFormats()).includes("qr_code")) {
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    return async (video) => (await detector.detect(video))[0]?.rawValue ?? null;
  }
  const { default: jsQR } = await import("jsqr");
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  return async (video) => {
    if (video.videoWidth === 0) return null;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    context.drawImage(video, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    return jsQR(data, width, height, { inversionAttempts: "dontInvert" })?.data ?? null;
  };
}
