// What each code of the nodes' table (clients/codes.json) and of step-client means to a person, and what to do about it. A
// test demands every code of both. In braces stands what `shell/explained.ts` takes from the refusal's details; only what a
// code always has may stand in its texts.
import type { Text } from "../shell/texts.ts";

export interface Told {
  happened: Text;
  advice: Text;
}

const sendAgain: Text = {
  en: "It can be sent again from {retryAt} on.",
  de: "Ab {retryAt} kann es noch einmal gesendet werden.",
};
const proveInstead: Text = {
  en: "Prove in the triangle that is open here now.",
  de: "Es geht in dem Dreieck, das hier jetzt offen ist.",
};
const appsMistake: Text = {
  en: "This is a mistake of the app, not yours. Load the page again; if it stays so, tell who runs the node.",
  de: "Das ist ein Fehler der App. Die Seite neu laden; bleibt es so, den Betreiber des Knotens benachrichtigen.",
};
const checkIdentifier: Text = {
  en: "Check whether it is written as it should be, or ask another node.",
  de: "Prüfen, ob es richtig geschrieben ist, oder einen anderen Knoten fragen.",
};

/** By code; where a case has a meaning of its own, by `CODE.case` (see `caseOf` in shell/explained.ts). */
export const codes: Readonly<Record<string, Told>> = {
  // --- Of a proof, in the order in which nodes ask ---
  INVALID_PAYLOAD: {
    happened: { en: "The node cannot read what the app has sent.", de: "Der Knoten kann nicht lesen, was die App gesendet hat." },
    advice: appsMistake,
  },
  LOW_GPS_ACCURACY: {
    happened: {
      en: "Your position is known to {value} m only; {limit} m are needed.",
      de: "Die Position ist nur auf {value} m genau; nötig sind {limit} m.",
    },
    advice: {
      en: "Go where you see more of the sky, and wait for a better position.",
      de: "Dorthin gehen, wo mehr Himmel zu sehen ist, und auf eine bessere Position warten.",
    },
  },
  BAD_SIGNATURE: {
    happened: { en: "The signature is not one of this account.", de: "Die Unterschrift ist nicht von diesem Konto." },
    advice: {
      en: "Choose the account in your wallet again, and sign once more.",
      de: "Das Konto noch einmal auswählen und neu unterschreiben.",
    },
  },
  OUT_OF_BOUNDS: {
    happened: { en: "The position is not in the triangle that was signed.", de: "Die Position liegt nicht im unterschriebenen Dreieck." },
    advice: { en: "Prove in the triangle that holds it.", de: "Es geht in dem Dreieck, in dem sie liegt." },
  },
  CLOCK_DRIFT: {
    happened: {
      en: "This proof is {drift} old. The network takes none that is older than {limit}.",
      de: "Dieser Beweis ist {drift} alt. Das Netz nimmt keinen an, der älter als {limit} ist.",
    },
    advice: {
      en: "Prove anew where you are. If you have only just signed it, have the device set its clock by itself.",
      de: "Neu beweisen, am jetzigen Ort. Ist er eben erst unterschrieben, das Gerät seine Uhr selbst stellen lassen.",
    },
  },
  "CLOCK_DRIFT.ahead": {
    happened: {
      en: "The time of this proof is {drift} ahead of the network's clock.",
      de: "Die Zeit dieses Beweises ist der Uhr des Netzes {drift} voraus.",
    },
    advice: {
      en: "Have the device set its clock by itself, and prove again.",
      de: "Das Gerät seine Uhr selbst stellen lassen und noch einmal beweisen.",
    },
  },
  NONCE_REPLAY: {
    happened: {
      en: "Another proof of this account has the same random number.",
      de: "Ein anderer Beweis dieses Kontos hat dieselbe Zufallszahl.",
    },
    advice: { en: "Prove again: the app takes a new one.", de: "Noch einmal beweisen: Die App nimmt eine neue." },
  },
  TRIANGLE_NOT_FOUND: {
    happened: {
      en: "This triangle is not open yet: the larger one around it has not been divided.",
      de: "Dieses Dreieck ist noch nicht offen: Das größere darum herum ist noch nicht geteilt.",
    },
    advice: proveInstead,
  },
  TRIANGLE_EXHAUSTED: {
    happened: { en: "This triangle is used up.", de: "Dieses Dreieck ist aufgebraucht." },
    advice: { en: "There is no smaller one here. Go on to another place.", de: "Hier gibt es kein kleineres. Weitergehen an einen anderen Ort." },
  },
  "TRIANGLE_EXHAUSTED.elsewhere": {
    happened: {
      en: "Others have proven here meanwhile: this triangle is full, and has been divided into four.",
      de: "Andere haben hier inzwischen bewiesen: Dieses Dreieck ist voll und wurde in vier geteilt.",
    },
    advice: {
      en: "Prove in the one of level {instead} that holds you.",
      de: "Es geht in dem der Stufe {instead}, das diesen Ort enthält.",
    },
  },
  TOO_FAST: {
    happened: {
      en: "You have proven {distance} from here, {elapsed} before. Nobody may move faster than {limit} m/s.",
      de: "Der letzte Beweis war {distance} von hier, {elapsed} zuvor. Schneller als {limit} m/s darf sich niemand bewegen.",
    },
    advice: { en: "You may prove here at {retryAt}.", de: "Hier geht es um {retryAt}." },
  },
  MORATORIUM: {
    happened: {
      en: "Your last proof was made only {elapsed} before. At least {limit} must lie between two.",
      de: "Der letzte Beweis war nur {elapsed} zuvor. Zwischen zweien müssen mindestens {limit} liegen.",
    },
    advice: { en: "You may prove again at {retryAt}.", de: "Wieder geht es um {retryAt}." },
  },

  // --- Not now ---
  RATE_LIMITED: {
    happened: { en: "The node has been asked for too much at once.", de: "Vom Knoten wurde zu viel auf einmal verlangt." },
    advice: sendAgain,
  },
  "RATE_LIMITED.account_places": {
    happened: { en: "Several of your proofs still wait to become final.", de: "Mehrere Beweise dieses Kontos warten noch darauf, endgültig zu werden." },
    advice: sendAgain,
  },
  "RATE_LIMITED.triangle_clicks": {
    happened: {
      en: "So many proofs wait in this triangle that they will use it up.",
      de: "In diesem Dreieck warten so viele Beweise, dass sie es aufbrauchen werden.",
    },
    advice: sendAgain,
  },
  "RATE_LIMITED.source_places": {
    happened: {
      en: "Many new accounts are proving from your network address.",
      de: "Von dieser Netzadresse aus beweisen gerade viele neue Konten.",
    },
    advice: sendAgain,
  },
  "RATE_LIMITED.account_submissions": {
    happened: {
      en: "Your account has sent as many proofs as it may in a minute.",
      de: "Das Konto hat so viele Beweise gesendet, wie in einer Minute erlaubt sind.",
    },
    advice: sendAgain,
  },
  "RATE_LIMITED.address_submissions": {
    happened: {
      en: "From your network address as many proofs have come as may come in a minute.",
      de: "Von dieser Netzadresse kamen so viele Beweise, wie in einer Minute erlaubt sind.",
    },
    advice: sendAgain,
  },
  MEMPOOL_FULL: {
    happened: { en: "More proofs wait than the network can take in just now.", de: "Gerade warten mehr Beweise, als das Netz aufnehmen kann." },
    advice: sendAgain,
  },
  NOT_READY: {
    happened: { en: "The node is not ready just now.", de: "Der Knoten ist gerade nicht bereit." },
    advice: sendAgain,
  },
  INTAKE_PAUSED: {
    happened: {
      en: "Who runs this node has it take no proofs and no transfers for now.",
      de: "Der Betreiber lässt diesen Knoten zurzeit keine Beweise und Überweisungen annehmen.",
    },
    advice: {
      en: "Use another node, or try again after {retryAt}.",
      de: "Einen anderen Knoten nutzen, oder es nach {retryAt} noch einmal versuchen.",
    },
  },
  INTAKE_SHED: {
    happened: {
      en: "Far more proofs than usual arrive at this node, and it turns some away.",
      de: "Bei diesem Knoten kommen weit mehr Beweise an als sonst, und er weist manche ab.",
    },
    advice: sendAgain,
  },
  SWITCHED_OFF: {
    happened: { en: "Who runs this node has turned this off.", de: "Der Betreiber dieses Knotens hat das abgeschaltet." },
    advice: {
      en: "Use another node, or try again after {retryAt}.",
      de: "Einen anderen Knoten nutzen, oder es nach {retryAt} noch einmal versuchen.",
    },
  },
  INTERNAL_ERROR: {
    happened: { en: "The node has made a mistake.", de: "Der Knoten hat einen Fehler gemacht." },
    advice: {
      en: "Try again. If it stays so, tell who runs the node.",
      de: "Noch einmal versuchen. Bleibt es so, den Betreiber des Knotens benachrichtigen.",
    },
  },
  POOL_FULL: {
    happened: { en: "Too many transfers and operations wait just now.", de: "Gerade warten zu viele Überweisungen und Vorgänge." },
    advice: sendAgain,
  },
  REQUEST_TIMEOUT: {
    happened: { en: "The line to the node is too slow: not all has arrived in time.", de: "Die Verbindung zum Knoten ist zu langsam: Nicht alles kam rechtzeitig an." },
    advice: { en: "Try again where the connection is better.", de: "Mit besserer Verbindung noch einmal versuchen." },
  },

  // --- What was looked for ---
  PROOF_NOT_FOUND: {
    happened: { en: "This node knows no such proof.", de: "Dieser Knoten kennt keinen solchen Beweis." },
    advice: checkIdentifier,
  },
  OPERATION_NOT_FOUND: {
    happened: { en: "This node knows no such transfer or operation.", de: "Dieser Knoten kennt keine solche Überweisung und keinen solchen Vorgang." },
    advice: checkIdentifier,
  },
  RECEIPT_NOT_FOUND: {
    happened: { en: "There is no receipt of this here.", de: "Davon gibt es hier keine Quittung." },
    advice: {
      en: "Only what is final has one. Ask again in a while, or ask a node that keeps more of the past.",
      de: "Nur Endgültiges hat eine. Später noch einmal fragen, oder einen Knoten, der mehr Vergangenes aufhebt.",
    },
  },
  BATCH_NOT_FOUND: {
    happened: { en: "This node has no batch of the height {value}.", de: "Dieser Knoten hat keinen Block der Höhe {value}." },
    advice: {
      en: "It is yet to come, or longer ago than the node keeps.",
      de: "Er kommt erst noch, oder er ist länger her, als der Knoten aufhebt.",
    },
  },
  REPORT_NOT_FOUND: {
    happened: {
      en: "This node has no report of fairness of epoch {value}.",
      de: "Dieser Knoten hat keinen Fairnessbericht der Epoche {value}.",
    },
    advice: {
      en: "The epoch is still running, or this node does not know it from its beginning. Ask later, or another node.",
      de: "Die Epoche läuft noch, oder dieser Knoten kennt sie nicht von Anfang an. Später fragen, oder einen anderen Knoten.",
    },
  },
  VALIDATOR_NOT_FOUND: {
    happened: { en: "No validator has this address.", de: "Kein Validator hat diese Adresse." },
    advice: { en: "Look for it in the list of validators.", de: "Er lässt sich in der Liste der Validatoren suchen." },
  },
  NOT_FOUND: { happened: { en: "The node has nothing there.", de: "Dort hat der Knoten nichts." }, advice: appsMistake },

  // --- Of transfers and operations ---
  INVALID_OPERATION: {
    happened: { en: "Something in what was signed is not of its form.", de: "Etwas im Unterschriebenen hat nicht die richtige Form." },
    advice: { en: "Correct it: {field}.", de: "Zu berichtigen: {field}." },
  },
  WRONG_SEQUENCE: {
    happened: {
      en: "It has number {value} in the order of your account; {expected} comes next.",
      de: "Es hat die Nummer {value} in der Reihenfolge des Kontos; als Nächstes kommt {expected}.",
    },
    advice: {
      en: "Look in your history whether it was done already. If not, sign again.",
      de: "Im Verlauf nachsehen, ob es schon geschehen ist. Wenn nicht, neu unterschreiben.",
    },
  },
  INSUFFICIENT_BALANCE: {
    happened: { en: "You have {have} STEP; {need} are needed.", de: "Vorhanden sind {have} STEP; nötig sind {need}." },
    advice: { en: "Choose a smaller amount.", de: "Einen kleineren Betrag wählen." },
  },
  UNKNOWN_VALIDATOR: {
    happened: { en: "No validator has this address.", de: "Kein Validator hat diese Adresse." },
    advice: { en: "Look for it in the list of validators.", de: "Er lässt sich in der Liste der Validatoren suchen." },
  },
  NOT_THE_OWNER: {
    happened: { en: "This validator belongs to another account.", de: "Dieser Validator gehört einem anderen Konto." },
    advice: { en: "Sign with the account that owns it.", de: "Mit dem Konto unterschreiben, dem er gehört." },
  },
  KEY_IN_USE: {
    happened: { en: "This key is, or was, a validator's.", de: "Dieser Schlüssel ist oder war der eines Validators." },
    advice: { en: "Use a new key.", de: "Einen neuen Schlüssel nehmen." },
  },
  STAKE_TOO_LOW: {
    happened: { en: "A stake of {have} STEP is too low; {need} are needed.", de: "Ein Einsatz von {have} STEP ist zu klein; nötig sind {need}." },
    advice: { en: "Put up more.", de: "Mehr einsetzen." },
  },
  NO_PLACE: {
    happened: { en: "There are as many validators as there may be: {limit}.", de: "Es gibt so viele Validatoren, wie es geben darf: {limit}." },
    advice: { en: "Try again when one has left.", de: "Wieder versuchen, wenn einer gegangen ist." },
  },
  WRONG_UPGRADE: {
    happened: { en: "The validators cannot agree on these rules from that height on.", de: "Auf diese Regeln können sich die Validatoren ab dieser Höhe nicht einigen." },
    advice: { en: "See what is in force and agreed on now.", de: "Nachsehen, was jetzt gilt und vereinbart ist." },
  },
  WRONG_STATE: {
    happened: { en: "The validator is “{state}”, and in this state it cannot be done.", de: "Der Validator ist „{state}“, und so geht es nicht." },
    advice: { en: "Look at the validator's page.", de: "Mehr steht auf der Seite des Validators." },
  },

  // --- Of requests as such ---
  METHOD_NOT_ALLOWED: { happened: { en: "The node does not take such a request there.", de: "So nimmt der Knoten dort nichts an." }, advice: appsMistake },
  FORBIDDEN: {
    happened: { en: "Pages of other addresses may not read this from the node.", de: "Seiten anderer Adressen dürfen das vom Knoten nicht lesen." },
    advice: { en: "Open the app at the node itself.", de: "Die App beim Knoten selbst öffnen." },
  },
  PAYLOAD_TOO_LARGE: { happened: { en: "What the app has sent is too long.", de: "Was die App gesendet hat, ist zu lang." }, advice: appsMistake },
  HEADERS_TOO_LARGE: {
    happened: { en: "The browser has sent too much along with the request.", de: "Der Browser hat der Anfrage zu viel beigefügt." },
    advice: {
      en: "Delete the cookies that it keeps for this address, and try again.",
      de: "Die Cookies löschen, die er für diese Adresse hat, und es noch einmal versuchen.",
    },
  },

  // --- Of this app, of what was signed for a chain and meets another one ---
  WRONG_CHAIN: {
    happened: {
      en: "This was signed for the chain {expected}; the node is of {value}.",
      de: "Unterschrieben ist es für das Netz {expected}; der Knoten gehört zu {value}.",
    },
    advice: { en: "Open the app at a node of the right chain, and prove anew.", de: "Die App bei einem Knoten des richtigen Netzes öffnen und neu beweisen." },
  },

  // --- Of step-client ---
  NO_ANSWER: {
    happened: { en: "No node answers.", de: "Kein Knoten antwortet." },
    advice: { en: "Check the connection, and try again.", de: "Die Verbindung prüfen und es noch einmal versuchen." },
  },
  PENDING: {
    happened: { en: "The network has taken it in, but it is not final yet.", de: "Das Netz hat es angenommen, aber es ist noch nicht endgültig." },
    advice: { en: "Nothing is to be done: it becomes final by itself.", de: "Es ist nichts zu tun: Es wird von selbst endgültig." },
  },
  BAD_POSITION: {
    happened: { en: "This is no position that can be proven.", de: "Das ist keine Position, die sich beweisen lässt." },
    advice: { en: "Wait until the device knows where it is.", de: "Warten, bis das Gerät weiß, wo es ist." },
  },
  "BAD_POSITION.accuracy": {
    happened: { en: "Your position is not known well enough.", de: "Die Position ist nicht genau genug bekannt." },
    advice: {
      en: "Go where you see more of the sky, and wait for a better position.",
      de: "Dorthin gehen, wo mehr Himmel zu sehen ist, und auf eine bessere Position warten.",
    },
  },
  "BAD_POSITION.timestamp": {
    happened: { en: "The device has given a position of another time.", de: "Das Gerät hat eine Position von einer anderen Zeit genannt." },
    advice: { en: "Wait for a new one.", de: "Auf eine neue warten." },
  },
  NO_ACCOUNT: {
    happened: { en: "The wallet has given no account.", de: "Das Wallet hat kein Konto genannt." },
    advice: { en: "Unlock it, and allow this page to see an account.", de: "Es entsperren und dieser Seite erlauben, ein Konto zu sehen." },
  },
  UNREADABLE_ANSWER: {
    happened: { en: "A node has given an answer that makes no sense.", de: "Ein Knoten hat etwas Unverständliches geantwortet." },
    advice: { en: "Do not rely on it: use another node.", de: "Nicht darauf verlassen: Einen anderen Knoten nutzen." },
  },
  RECEIPT_REFUSED: {
    happened: { en: "This receipt does not hold.", de: "Diese Quittung hält der Prüfung nicht stand." },
    advice: { en: "Do not rely on it.", de: "Nicht darauf verlassen." },
  },
};

/** Of a code that this app does not know: of a newer node. */
export const unknownCode: Told = {
  happened: { en: "The node has refused it, and the app does not know the reason.", de: "Der Knoten hat es abgelehnt, und die App kennt den Grund nicht." },
  advice: { en: "Load the page again: the app may be older than the node.", de: "Die Seite neu laden: Die App ist vielleicht älter als der Knoten." },
};

export const notice = {
  exactly: { en: "What the node says", de: "Was der Knoten sagt" },
  code: { en: "Code", de: "Code" },
  message: { en: "Message", de: "Meldung" },
  node: { en: "Node", de: "Knoten" },
  proveThere: { en: "Prove in the triangle of level {level}", de: "Im Dreieck der Stufe {level} beweisen" },
  again: { en: "Try again", de: "Noch einmal versuchen" },
} as const;
