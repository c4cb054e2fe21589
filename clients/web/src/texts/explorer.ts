export const explorer = {
  searchLabel: { en: "Search the chain", de: "In der Kette suchen" },
  searchHint: { en: "Height, id, address, triangle, place or lat,lon", de: "Höhe, Kennung, Adresse, Dreieck, Ort oder Breite;Länge" },
  search: { en: "Search", de: "Suchen" },
  copyLink: { en: "Copy link", de: "Link kopieren" },
  sections: { en: "Parts of the explorer", de: "Teile der Einsicht" },
  overview: { en: "Overview", de: "Übersicht" },

  // What there is
  batch: { en: "Batch {height}", de: "Block {height}" },
  batches: { en: "Batches", de: "Blöcke" },
  latestBatches: { en: "Latest batches", de: "Neueste Blöcke" },
  proof: { en: "Proof", de: "Beweis" },
  proofs: { en: "Proofs", de: "Beweise" },
  operation: { en: "Operation", de: "Vorgang" },
  operations: { en: "Operations", de: "Vorgänge" },
  evidence: { en: "Evidence", de: "Belege" },
  account: { en: "Account", de: "Konto" },
  triangle: { en: "Triangle", de: "Dreieck" },
  validator: { en: "Validator", de: "Validator" },
  validators: { en: "Validators", de: "Validatoren" },

  // Fields
  height: { en: "Height", de: "Höhe" },
  time: { en: "Time", de: "Zeit" },
  proposer: { en: "Proposer", de: "Vorschlagender" },
  round: { en: "Round", de: "Runde" },
  roundDecided: { en: "{built}, decided in {decided}", de: "{built}, entschieden in {decided}" },
  hash: { en: "Hash", de: "Hash" },
  previous: { en: "Previous batch", de: "Block davor" },
  stateRoot: { en: "State before it", de: "Zustand davor" },
  setHash: { en: "Validator set", de: "Validatorensatz" },
  proofsRoot: { en: "Root of the proofs", de: "Wurzel der Beweise" },
  receiptsRoot: { en: "Root of the receipts", de: "Wurzel der Quittungen" },
  rules: { en: "Rules", de: "Regeln" },
  rulesVersion: { en: "version {version}", de: "Version {version}" },
  status: { en: "Status", de: "Stand" },
  reward: { en: "Reward", de: "Belohnung" },
  amount: { en: "Amount", de: "Betrag" },
  balance: { en: "Balance", de: "Guthaben" },
  balanceAfter: { en: "Balance after it", de: "Guthaben danach" },
  level: { en: "Level", de: "Stufe" },
  clicks: { en: "Clicks", de: "Klicks" },
  click: { en: "Click", de: "Klick" },
  proofOfClick: { en: "Proof of click {click}", de: "Beweis von Klick {click}" },
  clickOf: { en: "{clicks} of {max}", de: "{clicks} von {max}" },
  state: { en: "State", de: "Zustand" },
  position: { en: "Position", de: "Position" },
  accuracy: { en: "Accuracy", de: "Genauigkeit" },
  nonce: { en: "Nonce", de: "Nonce" },
  memo: { en: "Memo", de: "Vermerk" },
  from: { en: "From", de: "Von" },
  to: { en: "To", de: "An" },
  owner: { en: "Owner", de: "Eigentümer" },
  type: { en: "Kind", de: "Art" },
  sequence: { en: "Number in the owner's order", de: "Nummer in der Reihenfolge des Eigentümers" },
  place: { en: "Place in the batch", de: "Platz im Block" },
  saidAt: { en: "Was there at", de: "War dort um" },
  finalAt: { en: "Final since", de: "Endgültig seit" },
  rank: { en: "Rank", de: "Rang" },
  lastProof: { en: "Last proof", de: "Letzter Beweis" },
  stake: { en: "Stake", de: "Einsatz" },
  publicKey: { en: "Public key", de: "Öffentlicher Schlüssel" },
  p2pAddress: { en: "Network address", de: "Netzadresse" },
  activeFrom: { en: "In the set from height", de: "Im Satz ab Höhe" },
  activeUntil: { en: "In the set until before height", de: "Im Satz bis vor Höhe" },
  lockedUntil: { en: "Stake locked until", de: "Einsatz gesperrt bis" },
  parent: { en: "Larger one around it", de: "Größeres darum herum" },
  integerForm: { en: "As a number", de: "Als Zahl" },
  side: { en: "Side", de: "Seite" },
  middle: { en: "Middle", de: "Mitte" },

  // States
  finalised: { en: "Final", de: "Endgültig" },
  pending: { en: "Waiting for a batch", de: "Wartet auf einen Block" },
  dropped: { en: "Dropped", de: "Verworfen" },
  applied: { en: "Applied", de: "Ausgeführt" },
  active: { en: "active", de: "offen" },
  subdivided: { en: "divided", de: "geteilt" },
  exhausted: { en: "used up", de: "aufgebraucht" },

  // Batch
  whoSigned: { en: "Who signed", de: "Wer unterschrieben hat" },
  signedCount: { en: "{signed} of {of} signed.", de: "{signed} von {of} haben unterschrieben." },
  signed: { en: "signed", de: "unterschrieben" },
  missed: { en: "missing", de: "fehlt" },
  missedNote: {
    en: "A signature that came late is not kept with the batch; being late once says little.",
    de: "Eine Unterschrift, die zu spät kam, wird nicht mit dem Block aufgehoben; einmal spät zu sein sagt wenig.",
  },
  earlier: { en: "Batch {height}", de: "Block {height}" },
  neighbours: { en: "Batches beside it", de: "Blöcke daneben" },
  nothingIn: { en: "None.", de: "Keine." },
  showAll: { en: "Show all {count}", de: "Alle {count} zeigen" },
  more: { en: "Show more", de: "Mehr zeigen" },
  awaits: { en: "It appears here as soon as it is final.", de: "Er erscheint hier, sobald er endgültig ist." },
  header: { en: "Header", de: "Kopf" },

  // Live
  live: { en: "live", de: "live" },
  polling: { en: "asked every few seconds", de: "alle paar Sekunden gefragt" },
  lastBatch: { en: "Last batch", de: "Letzter Block" },
  proofsInAll: { en: "Final proofs", de: "Endgültige Beweise" },
  inTheSet: { en: "Validators", de: "Validatoren" },
  quorum: { en: "{quorum} votes decide", de: "{quorum} Stimmen entscheiden" },
  richest: { en: "Highest balances", de: "Höchste Guthaben" },

  // Account
  transactions: { en: "What it did and was sent", de: "Was es tat und bekam" },
  noTransactions: { en: "Nothing yet.", de: "Noch nichts." },
  csv: { en: "Proofs as CSV", de: "Beweise als CSV" },
  isValidator: { en: "This is a validator's key.", de: "Das ist der Schlüssel eines Validators." },
  ownsValidator: { en: "It owns a validator.", de: "Ihm gehört ein Validator." },
  toValidator: { en: "To the validator", de: "Zum Validator" },
  unranked: { en: "none", de: "keiner" },
  historiesFrom: {
    en: "This node keeps what happened from height {height} on.",
    de: "Dieser Knoten hebt auf, was ab Höhe {height} geschah.",
  },
  receiptFile: { en: "Receipt as a file", de: "Quittung als Datei" },
  noReceipt: {
    en: "Who proved it, and where, stands in the receipt, which this node does not have.",
    de: "Wer ihn erbracht hat, und wo, steht in der Quittung, die dieser Knoten nicht hat.",
  },

  // Triangle
  notYet: { en: "It does not exist yet: it comes into being when the larger one around it is divided.", de: "Es gibt es noch nicht: Es entsteht, wenn das größere darum herum geteilt wird." },
  picture: {
    en: "The triangle of level {level}, north up, with its four children and the proofs in it",
    de: "Das Dreieck der Stufe {level}, Norden oben, mit seinen vier Kindern und den Beweisen darin",
  },
  children: { en: "The four inside it", de: "Die vier darin" },
  child: { en: "child {index}", de: "Kind {index}" },
  notThereYet: { en: "not there yet", de: "noch nicht da" },
  noChildren: { en: "There is no level below this one.", de: "Unter dieser Stufe gibt es keine." },
  inside: { en: "What is inside", de: "Was darin ist" },
  proofsHere: { en: "Proofs in this very triangle", de: "Beweise in genau diesem Dreieck" },
  away: { en: "about {length}", de: "etwa {length}" },

  // Validators
  oneVoteEach: {
    en: "Each has one vote, whatever its stake. {quorum} votes decide.",
    de: "Jeder hat eine Stimme, wie groß sein Einsatz auch ist. {quorum} Stimmen entscheiden.",
  },
  participation: { en: "Signed of the last {count}", de: "Unterschrieben von den letzten {count}" },
  participationOf: { en: "{signed} of {of}", de: "{signed} von {of}" },
  notInSet: { en: "It was not in the set for these.", de: "Er war bei diesen nicht im Satz." },
  heightStrip: { en: "The last {count} batches, the newest on the right", de: "Die letzten {count} Blöcke, der neueste rechts" },
  absent: {
    en: "Its signature has been missing from {count} batches in a row, since {since}.",
    de: "Seine Unterschrift fehlt in {count} Blöcken hintereinander, seit {since}.",
  },
  slashings: { en: "What validators were slashed for", de: "Wofür Validatoren bestraft wurden" },
  slashingsOf: { en: "What it was slashed for", de: "Wofür er bestraft wurde" },
  neverSlashed: { en: "Nobody has been slashed.", de: "Niemand wurde bestraft." },
  notSlashed: { en: "It has not been slashed.", de: "Er wurde nicht bestraft." },
  cost: { en: "It cost {amount} STEP ({share} % of the stake), which are burnt.", de: "Das kostete {amount} STEP ({share} % des Einsatzes), die vernichtet sind." },
  costNothing: { en: "It cost nothing more: a graver offence had been punished before.", de: "Es kostete nichts mehr: Ein schwereres Vergehen war schon bestraft." },
  stateWaiting: { en: "waits to join", de: "wartet auf Aufnahme" },
  stateActive: { en: "votes", de: "stimmt ab" },
  stateLeaving: { en: "votes, and is leaving", de: "stimmt ab und geht" },
  stateUnbonding: { en: "has left", de: "ist gegangen" },
  stateJailed: { en: "jailed", de: "gesperrt" },
  stateRotated: { en: "key replaced", de: "Schlüssel ersetzt" },

  // Search
  searchFor: { en: "Search for “{text}”", de: "Suche nach „{text}“" },
  searching: { en: "Searching…", de: "Wird gesucht …" },
  nothingFound: {
    en: "Nothing is called that. Give a height, a 0x address or id, a triangle, a city, or latitude and longitude such as 47.38, 8.54.",
    de: "Nichts heißt so. Gib eine Höhe, eine Adresse oder Kennung mit 0x, ein Dreieck, eine Stadt, oder Breite und Länge wie 47.38; 8.54 ein.",
  },
  noSuchId: {
    en: "This node knows no proof and no operation of this id, and none of the last {count} batches has this hash.",
    de: "Dieser Knoten kennt keinen Beweis und keinen Vorgang mit dieser Kennung, und keiner der letzten {count} Blöcke hat diesen Hash.",
  },
  couldBe: { en: "It could be one of these:", de: "Es könnte eines davon sein:" },
  triangleAt: { en: "Triangle at {place}", de: "Dreieck bei {place}" },
  malformed: { en: "This address of a page names nothing that there can be.", de: "Diese Seitenadresse nennt nichts, das es geben kann." },
} as const;

/** By the names of the API. */
export const validatorStates = {
  waiting: explorer.stateWaiting,
  active: explorer.stateActive,
  leaving: explorer.stateLeaving,
  unbonding: explorer.stateUnbonding,
  jailed: explorer.stateJailed,
  rotated: explorer.stateRotated,
} as const;

/** What somebody did, as one sentence with the accused and the height. */
export const offences = {
  DOUBLE_SIGN: {
    en: "At height {height} it signed two different votes of one round.",
    de: "Bei Höhe {height} unterschrieb er zwei verschiedene Stimmen einer Runde.",
  },
  CONFLICTING_PROPOSAL: {
    en: "At height {height} it made two different proposals in one round.",
    de: "Bei Höhe {height} machte er in einer Runde zwei verschiedene Vorschläge.",
  },
  INVALID_PROPOSAL: {
    en: "At height {height} it proposed a batch with a proof that no node may let pass.",
    de: "Bei Höhe {height} schlug er einen Block mit einem Beweis vor, den kein Knoten durchlassen darf.",
  },
  INVALID_VOTE: {
    en: "At height {height} it voted for a batch with a proof that no node may let pass.",
    de: "Bei Höhe {height} stimmte er für einen Block mit einem Beweis, den kein Knoten durchlassen darf.",
  },
  OFFLINE: {
    en: "Up to height {height} its votes were missing for longer than the chain allows.",
    de: "Bis Höhe {height} fehlten seine Stimmen länger, als die Kette erlaubt.",
  },
} as const;

/** What an account did, by the names of its history and of operations, in lower case. */
export const deeds = {
  proof: { en: "proof", de: "Beweis" },
  transfer: { en: "transfer", de: "Überweisung" },
  transfer_in: { en: "received", de: "erhalten" },
  transfer_out: { en: "sent", de: "gesendet" },
  register: { en: "registered a validator", de: "Validator angemeldet" },
  unbond: { en: "validator leaves", de: "Validator geht" },
  withdraw: { en: "stake withdrawn", de: "Einsatz zurückgeholt" },
  rotate_key: { en: "validator's key replaced", de: "Schlüssel des Validators ersetzt" },
  set_address: { en: "validator's network address changed", de: "Netzadresse des Validators geändert" },
  approve_upgrade: { en: "rules approved", de: "Regeln zugestimmt" },
  cancel_upgrade: { en: "approval taken back", de: "Zustimmung zurückgenommen" },
} as const;
