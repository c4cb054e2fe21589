// Of the page where one proves where one is.
import type { Text } from "../shell/texts.ts";

export const prove = {
  title: { en: "Prove where you are", de: "Beweisen, wo man ist" },

  place: { en: "Your position", de: "Die Position" },
  find: { en: "Find my position", de: "Meine Position bestimmen" },
  whyAsked: {
    en: "The browser will ask whether this page may know where you are. The page tells it to its node, which answers with the triangle there. What you prove is public for ever.",
    de: "Der Browser fragt gleich, ob diese Seite die Position kennen darf. Sie nennt sie ihrem Knoten, der das Dreieck dort nennt. Was bewiesen wird, ist für immer öffentlich.",
  },
  within: { en: "within {metres} m", de: "auf {metres} m genau" },
  needed: { en: "{metres} m or better are needed", de: "nötig sind {metres} m oder besser" },
  measured: { en: "measured", de: "gemessen" },
  simulated: { en: "Simulated position", de: "Simulierte Position" },

  triangle: { en: "The triangle here", de: "Das Dreieck hier" },
  level: { en: "Level", de: "Stufe" },
  reward: { en: "Reward", de: "Belohnung" },
  proofs: { en: "Proofs in it", de: "Beweise darin" },
  ofProofs: { en: "{clicks} of {most}", de: "{clicks} von {most}" },
  state: { en: "State", de: "Zustand" },
  id: { en: "Id", de: "Kennung" },
  asBefore: { en: "No node answers just now; this is what was known last.", de: "Gerade antwortet kein Knoten; so war es zuletzt bekannt." },
  notKnown: { en: "It is shown once the position is known.", de: "Es erscheint, sobald die Position bekannt ist." },

  proveNow: { en: "Prove that I am here", de: "Beweisen, dass ich hier bin" },
  signing: { en: "Signing…", de: "Wird unterschrieben …" },
  mayNow: { en: "You may prove here now.", de: "Hier kann jetzt bewiesen werden." },
  mayOnceGood: { en: "You may prove here as soon as the position is good.", de: "Hier kann bewiesen werden, sobald die Position gut ist." },
  mayAt: { en: "You may prove here at {time}.", de: "Hier kann um {time} bewiesen werden." },
  becauseOfPause: { en: "Between two proofs {pause} must pass.", de: "Zwischen zwei Beweisen müssen {pause} vergehen." },
  becauseOfSpeed: {
    en: "It is {distance} from your last proof, and nobody may move faster than {limit} m/s.",
    de: "Der letzte Beweis war {distance} entfernt, und schneller als {limit} m/s darf sich niemand bewegen.",
  },
  noAccount: { en: "To prove, you need a key. It is made on this device, in a minute.", de: "Zum Beweisen braucht es einen Schlüssel. Er entsteht auf diesem Gerät, in einer Minute." },
  toWallet: { en: "Make a key", de: "Schlüssel anlegen" },
  account: { en: "Account", de: "Konto" },
  balance: { en: "Balance", de: "Guthaben" },
  rulesUnknown: {
    en: "No node has answered yet, so the chain's rules are not known. Connect once; after that this works offline too.",
    de: "Noch hat kein Knoten geantwortet, daher sind die Regeln des Netzes unbekannt. Einmal verbinden; danach geht es auch offline.",
  },
  offline: {
    en: "You are offline. You can prove all the same: what you sign is kept here, and is sent when you are back within {minutes} minutes.",
    de: "Offline. Beweisen geht trotzdem: Was unterschrieben ist, bleibt hier und wird gesendet, wenn die Verbindung innerhalb von {minutes} Minuten zurück ist.",
  },

  yours: { en: "Proofs of this device", de: "Beweise dieses Geräts" },
  none: { en: "None yet.", de: "Noch keine." },
  final: { en: "Final", de: "Endgültig" },
  finalAtHeight: { en: "Final in batch {height}, proof {clicks} of this triangle.", de: "Endgültig in Block {height}, Beweis {clicks} dieses Dreiecks." },
  youHave: { en: "You have {balance} STEP.", de: "Guthaben: {balance} STEP." },
  receipt: { en: "Receipt", de: "Quittung" },
  receipts: { en: "All receipts, and checking somebody else's", de: "Alle Quittungen, und fremde prüfen" },
  sending: { en: "Being sent", de: "Wird gesendet" },
  waiting: { en: "Waiting for a node", de: "Wartet auf einen Knoten" },
  waitingUntil: { en: "It can be taken in until {time}.", de: "Angenommen werden kann er bis {time}." },
  maybeTooLate: {
    en: "It is too old by now. Whether a node has taken it in before shows when one answers.",
    de: "Er ist inzwischen zu alt. Ob ihn vorher ein Knoten angenommen hat, zeigt sich, sobald einer antwortet.",
  },
  accepted: { en: "Taken in", de: "Angenommen" },
  acceptedMore: { en: "The validators are about to vote on it.", de: "Gleich stimmen die Validatoren darüber ab." },
  refused: { en: "Refused", de: "Abgelehnt" },
  expired: { en: "Too old", de: "Zu alt" },
  expiredMore: {
    en: "There was no connection for too long: no node takes this proof any more. It was not sent and is worth nothing.",
    de: "Die Verbindung fehlte zu lange: Kein Knoten nimmt diesen Beweis mehr an. Er wurde nicht gesendet und zählt nicht.",
  },
  seen: { en: "Remove", de: "Entfernen" },
  seenOf: { en: "Remove the proof of {time} from this list", de: "Den Beweis von {time} aus dieser Liste entfernen" },

  simulate: { en: "Simulate a position", de: "Eine Position simulieren" },
  simulateWhy: {
    en: "This chain is a devnet, so a position may be made up here. On any other chain this is not there.",
    de: "Dies ist ein Testnetz auf einem Rechner, daher darf die Position hier erfunden sein. In anderen Netzen gibt es das nicht.",
  },
  latitude: { en: "Latitude", de: "Breite" },
  longitude: { en: "Longitude", de: "Länge" },
  simulateGo: { en: "Be there", de: "Dort sein" },
  simulateStop: { en: "Back to the real position", de: "Zurück zur echten Position" },
  walk: { en: "Walk 20 m north", de: "20 m nach Norden gehen" },
  badDegrees: { en: "Latitude is a number from -90 to 90, longitude from -180 to 180.", de: "Breite ist eine Zahl von -90 bis 90, Länge von -180 bis 180." },
} as const;

/** By what is known of the position: what it is, and what to do. */
export const signals: Readonly<Record<string, { is: Text; advice?: Text }>> = {
  insecure: {
    is: { en: "The browser tells no position to this page, since it came over an insecure connection.", de: "Der Browser nennt dieser Seite keine Position, weil sie über eine unsichere Verbindung kam." },
    advice: {
      en: "Open the node by https. Who runs it can switch that on (TLS), as “step-node devnet --tls” does.",
      de: "Den Knoten mit https öffnen. Sein Betreiber kann das einschalten (TLS), wie „step-node devnet --tls“ es tut.",
    },
  },
  unsupported: {
    is: { en: "This browser knows no positions.", de: "Dieser Browser kennt keine Positionen." },
    advice: { en: "Open the page on a phone, in another browser.", de: "Die Seite auf einem Telefon öffnen, in einem anderen Browser." },
  },
  denied: {
    is: { en: "This page may not know where you are.", de: "Diese Seite darf die Position nicht kennen." },
    advice: {
      en: "Allow it in the browser's settings for this page (the lock beside the address), and in the phone's settings for the browser. It goes on here by itself.",
      de: "In den Einstellungen des Browsers für diese Seite erlauben (das Schloss neben der Adresse), und in denen des Telefons für den Browser. Hier geht es dann von selbst weiter.",
    },
  },
  noSignal: {
    is: { en: "The device does not know where it is.", de: "Das Gerät weiß nicht, wo es ist." },
    advice: { en: "Switch on its location, and go where you see the sky.", de: "Den Standort einschalten und dorthin gehen, wo Himmel zu sehen ist." },
  },
  searching: { is: { en: "Looking for your position…", de: "Die Position wird gesucht …" } },
  old: {
    is: { en: "The device has given a position from another time.", de: "Das Gerät hat eine Position von einer anderen Zeit genannt." },
    advice: {
      en: "Waiting for a new one. If none comes, have the device set its clock by itself.",
      de: "Es wird auf eine neue gewartet. Kommt keine, das Gerät seine Uhr selbst stellen lassen.",
    },
  },
  silent: {
    is: { en: "No new position has come for a while.", de: "Seit einer Weile kam keine neue Position." },
    advice: { en: "Waiting for one. Keep this page in front.", de: "Es wird darauf gewartet. Diese Seite im Vordergrund lassen." },
  },
  poor: {
    is: { en: "The position is not exact enough yet.", de: "Die Position ist noch nicht genau genug." },
    advice: { en: "Go where you see more of the sky, away from walls, and wait a little.", de: "Dorthin gehen, wo mehr Himmel zu sehen ist, weg von Mauern, und etwas warten." },
  },
  good: { is: { en: "The position is good.", de: "Die Position ist gut." } },
};

export const states: Readonly<Record<string, Text>> = {
  active: { en: "open", de: "offen" },
  subdivided: { en: "divided", de: "geteilt" },
  exhausted: { en: "used up", de: "aufgebraucht" },
};
