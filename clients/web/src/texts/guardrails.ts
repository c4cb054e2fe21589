import type { Text } from "../shell/texts.ts";

export const guardrails = {
  title: { en: "Guardrails", de: "Leitplanken" },
  told: {
    en: "This node goes over every final batch a second time, by rules that were written down once more, and tells what is not as it must be. It decides nothing, and changes nothing that is final.",
    de: "Dieser Knoten geht jeden endgültigen Block ein zweites Mal durch, nach noch einmal aufgeschriebenen Regeln, und sagt, was nicht ist, wie es sein muss. Er entscheidet damit nichts und ändert nichts Endgültiges.",
  },
  toNode: { en: "To the node", de: "Zum Knoten" },
  toFairness: { en: "Who gets how much", de: "Wer wie viel bekommt" },
  allHold: { en: "All {count} hold.", de: "Alle {count} halten." },
  broken: { en: "Broken: {broken} of {count}.", de: "Durchbrochen: {broken} von {count}." },
  asOf: { en: "As of batch {height}, asked again every few seconds.", de: "Stand Block {height}, alle paar Sekunden neu gefragt." },

  intake: { en: "What this node takes", de: "Was dieser Knoten annimmt" },
  takesAll: { en: "Proofs and transfers of all accounts.", de: "Beweise und Überweisungen aller Konten." },
  takesSome: {
    en: "Proofs and transfers of {percent} in 100 accounts, chosen by a hash of their addresses. The others are told to wait.",
    de: "Beweise und Überweisungen von {percent} unter 100 Konten, nach einem Hash ihrer Adressen ausgewählt. Die anderen müssen warten.",
  },
  takesNone: { en: "No proofs and no transfers.", de: "Keine Beweise und keine Überweisungen." },
  intakeOff: { en: "No proofs and no transfers: who runs this node has turned that off.", de: "Keine Beweise und keine Überweisungen: Der Betreiber dieses Knotens hat das abgeschaltet." },
  intakeHow: {
    en: "A broken guardrail lowers this only where the operator wants it so, and only people raise it again.",
    de: "Eine durchbrochene Leitplanke senkt das nur, wo der Betreiber es so will; erhöht wird es nur wieder von Menschen.",
  },

  ledgers: { en: "What must always hold", de: "Was immer gelten muss" },
  ledgersTold: {
    en: "Checked after every batch. If one of these is broken, the rules that all nodes run have a fault. It stays shown until the operator says that it was seen.",
    de: "Nach jedem Block geprüft. Ist eine davon durchbrochen, haben die Regeln, nach denen alle Knoten rechnen, einen Fehler. Das bleibt angezeigt, bis der Betreiber sagt, dass er es gesehen hat.",
  },
  drifts: { en: "What should not get out of hand", de: "Was nicht überhandnehmen soll" },
  driftsTold: {
    en: "All is reckoned rightly, but people should look when one of these is broken. It is over when the figure is within its bound again.",
    de: "Gerechnet ist alles richtig, aber Menschen sollten hinsehen, wenn eine davon durchbrochen ist. Es ist vorbei, wenn die Zahl wieder in ihrer Grenze liegt.",
  },
  others: { en: "Others", de: "Weitere" },
  holds: { en: "holds", de: "hält" },
  isBroken: { en: "broken", de: "durchbrochen" },
  since: { en: "Broken since", de: "Durchbrochen seit" },
  batch: { en: "batch {height}", de: "Block {height}" },
  figure: { en: "Figure", de: "Zahl" },
  atMost: { en: "At most", de: "Höchstens" },
  ofBound: { en: "{figure} of at most {bound}", de: "{figure} von höchstens {bound}" },
  says: { en: "The node says", de: "Der Knoten sagt" },
  perHour: { en: "{amount} STEP an hour", de: "{amount} STEP in der Stunde" },
} as const;

export interface GuardrailText {
  name: Text;
  /** What is so while it holds. */
  watches: Text;
  /** What its figure is. One without says what was wrong with a batch in a sentence, which has the figures. */
  figure?: Text;
  /** What its bound is, where it is not the most that the figure may be. */
  bound?: Text;
  /** Why it has no figure, or no bound, where that can be. */
  without?: Text;
}

/** Those of the ledger by the names of the API (docs/guardrails.md). A breach is a fault in the rules. */
export const ledgers: Readonly<Record<string, GuardrailText>> = {
  rewards: {
    name: { en: "Pay for proofs", de: "Lohn für Beweise" },
    watches: {
      en: "Each proof was paid exactly what its triangle's size and its click earn.",
      de: "Jeder Beweis bekam genau, was die Größe seines Dreiecks und sein Klick einbringen.",
    },
  },
  clicks: {
    name: { en: "Clicks of triangles", de: "Klicks der Dreiecke" },
    watches: {
      en: "Each proof counts as one click of its triangle, and no triangle pays for a twelfth.",
      de: "Jeder Beweis zählt als ein Klick seines Dreiecks, und kein Dreieck zahlt für einen zwölften.",
    },
  },
  validators_share: {
    name: { en: "The validators' share", de: "Der Anteil der Validatoren" },
    watches: {
      en: "Who signed for the batch before got a share of what it should have paid, who proposed it the rest, and nobody anything else.",
      de: "Wer für den Block davor unterschrieb, bekam einen Anteil an dem, was er zahlen musste, wer ihn vorschlug den Rest, und niemand sonst etwas.",
    },
  },
  supply: {
    name: { en: "All STEP that were made", de: "Alle STEP, die entstanden sind" },
    watches: {
      en: "There are just as many more as were paid, and no more than all clicks so far can have earned.",
      de: "Es sind genau um so viel mehr, wie bezahlt wurde, und nicht mehr, als alle Klicks bisher verdient haben können.",
    },
    figure: { en: "Made so far", de: "Bisher entstanden" },
  },
  balances: {
    name: { en: "Each account's balance", de: "Das Guthaben jedes Kontos" },
    watches: {
      en: "Each account has what it had, plus what it was paid and sent, less what it sent and staked. Nobody else's balance moved, and none is below nothing.",
      de: "Jedes Konto hat, was es hatte, plus was es verdient und bekommen hat, ohne was es gesendet und eingesetzt hat. Kein anderes Guthaben hat sich bewegt, und keines ist unter null.",
    },
  },
  conservation: {
    name: { en: "Nothing lost, nothing made up", de: "Nichts verloren, nichts erfunden" },
    watches: {
      en: "All STEP that were ever made are in balances and stakes, or were burnt.",
      de: "Alle STEP, die je entstanden, liegen in Guthaben und Einsätzen oder wurden vernichtet.",
    },
    figure: { en: "In balances, stakes and burnt", de: "In Guthaben, Einsätzen und vernichtet" },
    bound: { en: "Ever made, must be equal", de: "Je entstanden, muss gleich sein" },
  },
};

/** The others: they come and go with their figures. */
export const drifts: Readonly<Record<string, GuardrailText>> = {
  minting_rate: {
    name: { en: "How quickly STEP are made", de: "Wie schnell STEP entstehen" },
    watches: {
      en: "No hour makes many times what is usual in an hour.",
      de: "Keine Stunde bringt ein Vielfaches dessen hervor, was in einer Stunde üblich ist.",
    },
    figure: { en: "This hour so far", de: "Diese Stunde bisher" },
    without: {
      en: "What is usual, the node knows once it has seen a day.",
      de: "Was üblich ist, weiß der Knoten, wenn er einen Tag gesehen hat.",
    },
  },
  concentration: {
    name: { en: "How much the ten largest have", de: "Wie viel die zehn Größten haben" },
    watches: {
      en: "The ten accounts that have the most, stakes counted, do not have the greater part of all STEP.",
      de: "Die zehn Konten, die am meisten haben, Einsätze mitgezählt, haben nicht den größeren Teil aller STEP.",
    },
    figure: { en: "Their share", de: "Ihr Anteil" },
    without: {
      en: "Looked up once a minute, and compared once there are enough accounts.",
      de: "Einmal in der Minute nachgesehen, und verglichen, sobald es genug Konten gibt.",
    },
  },
  orphaned_stake: {
    name: { en: "Stakes that answer for nobody", de: "Einsätze, die für niemanden haften" },
    watches: {
      en: "Little is staked for validators that have left or were locked out, and whose owner does not fetch it.",
      de: "Wenig ist für Validatoren eingesetzt, die gegangen oder gesperrt sind und deren Besitzer es nicht holt.",
    },
    figure: { en: "Share of all stakes", de: "Anteil an allen Einsätzen" },
  },
};
