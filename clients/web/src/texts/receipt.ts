// Of receipts: what one proves, and checking somebody else's.
import type { Text } from "../shell/texts.ts";

export const receiptTexts = {
  title: { en: "Receipt", de: "Quittung" },
  checkTitle: { en: "Check a receipt", de: "Eine Quittung prüfen" },
  what: {
    en: "A receipt shows that a proof or a transfer is final. It is checked on this device, without asking anybody.",
    de: "Eine Quittung zeigt, dass ein Beweis oder eine Überweisung endgültig ist. Geprüft wird sie auf diesem Gerät, ohne jemanden zu fragen.",
  },
  file: { en: "From a file", de: "Aus einer Datei" },
  paste: { en: "As text", de: "Als Text" },
  pasteHint: { en: "Paste the receipt here", de: "Die Quittung hier einfügen" },
  check: { en: "Check", de: "Prüfen" },
  camera: { en: "With the camera", de: "Mit der Kamera" },
  closeCamera: { en: "Close the camera", de: "Kamera schließen" },
  cameraHint: { en: "Hold the whole QR code into the picture, as large as it fits.", de: "Den ganzen QR-Code ins Bild halten, so groß es geht." },
  notACode: { en: "This QR code is not a receipt.", de: "Dieser QR-Code ist keine Quittung." },

  verified: { en: "Verified here", de: "Hier geprüft" },
  verifiedMore: {
    en: "This device alone has checked it, against the genesis of {chain}.",
    de: "Dieses Gerät allein hat sie geprüft, gegen den Ursprung von {chain}.",
  },
  refused: { en: "This receipt does not hold", de: "Diese Quittung hält der Prüfung nicht stand" },
  refusedMore: { en: "Do not rely on what it says.", de: "Auf das, was sie sagt, ist kein Verlass." },
  expected: { en: "Expected", de: "Erwartet" },
  found: { en: "Found", de: "Gefunden" },
  checked: { en: "What was checked", de: "Was geprüft wurde" },
  passed: { en: "holds", de: "stimmt" },
  failed: { en: "does not hold", de: "stimmt nicht" },
  notReached: { en: "not looked at", de: "nicht mehr geprüft" },
  notShown: {
    en: "It does not show that the account was where it says, nor what it has now.",
    de: "Sie zeigt nicht, dass das Konto dort war, wo es sagt, und nicht, was es jetzt hat.",
  },

  reward: { en: "Reward", de: "Belohnung" },
  balance: { en: "Balance right after", de: "Guthaben danach" },
  account: { en: "Account", de: "Konto" },
  proof: { en: "Proof", de: "Beweis" },
  operation: { en: "Operation", de: "Vorgang" },
  triangle: { en: "Triangle", de: "Dreieck" },
  place: { en: "Signed place", de: "Unterschriebener Ort" },
  placeValue: { en: "{lat}, {lon}, within {metres} m", de: "{lat}, {lon}, auf {metres} m genau" },
  signedAt: { en: "Signed at", de: "Unterschrieben um" },
  batch: { en: "Batch", de: "Block" },
  finalAt: { en: "Final at", de: "Endgültig um" },
  signers: { en: "Signed by", de: "Unterschrieben von" },
  signersValue: { en: "{count} validators", de: "{count} Validatoren" },
  line: { en: "Signed line", de: "Unterschriebene Zeile" },

  showCode: { en: "Show as QR code", de: "Als QR-Code zeigen" },
  hideCode: { en: "Hide the QR code", de: "QR-Code verbergen" },
  codeLabel: { en: "QR code of this receipt", de: "QR-Code dieser Quittung" },
  codeHint: {
    en: "Another app of this kind reads it: “Check a receipt”, “With the camera”. It holds the place, the time and the account.",
    de: "Eine andere App dieser Art liest ihn: „Eine Quittung prüfen“, „Mit der Kamera“. Er enthält Ort, Zeit und Konto.",
  },
  tooLong: { en: "It is too long for a QR code. Take the file.", de: "Sie ist zu lang für einen QR-Code. Es geht als Datei." },
  download: { en: "Save as file", de: "Als Datei sichern" },
  keep: { en: "Keep on this device", de: "Auf diesem Gerät behalten" },
  isKept: { en: "Kept on this device.", de: "Auf diesem Gerät behalten." },

  yours: { en: "Receipts on this device", de: "Quittungen auf diesem Gerät" },
  none: { en: "None yet. Each proof that becomes final leaves one here.", de: "Noch keine. Jeder endgültige Beweis hinterlässt hier eine." },
  looking: { en: "Looking for the receipt…", de: "Die Quittung wird gesucht …" },
  noGenesis: {
    en: "The app has not met a node yet, so it has nothing to check by. Connect once.",
    de: "Die App ist noch keinem Knoten begegnet und hat daher nichts, woran sie prüfen könnte. Einmal verbinden.",
  },
  tooLarge: { en: "This is too large to be a receipt.", de: "Das ist zu groß für eine Quittung." },
} as const;

/** What each step of the check has shown. */
export const steps: Readonly<Record<string, Text>> = {
  form: { en: "It has the one form that receipts have.", de: "Sie hat die eine Form, die Quittungen haben." },
  signature: { en: "The account itself has signed the line.", de: "Das Konto selbst hat die Zeile unterschrieben." },
  path: { en: "The line and what it brought are in the batch.", de: "Die Zeile und ihr Ergebnis stehen im Block." },
  chain: { en: "The batch is of this chain.", de: "Der Block gehört zu diesem Netz." },
  links: { en: "Its validators are those of genesis, or came after them by the rules.", de: "Seine Validatoren sind die des Ursprungs oder kamen nach den Regeln hinzu." },
  commit: { en: "At least two thirds of them have signed the batch.", de: "Mindestens zwei Drittel von ihnen haben den Block unterschrieben." },
};

export const cameraTroubles = {
  denied: { en: "This page may not use the camera. Allow it in the browser's settings for this page.", de: "Diese Seite darf die Kamera nicht nutzen. In den Einstellungen des Browsers für diese Seite erlauben." },
  none: { en: "There is no camera. Take the file or the text.", de: "Es gibt keine Kamera. Es geht als Datei oder als Text." },
  busy: { en: "The camera gives no picture; perhaps another program has it.", de: "Die Kamera liefert kein Bild; vielleicht nutzt sie ein anderes Programm." },
  insecure: { en: "Browsers open the camera over https only.", de: "Browser öffnen die Kamera nur über https." },
} as const;
