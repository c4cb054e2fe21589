import type { Text } from "../shell/texts.ts";

export const plausibility = {
  title: { en: "How plausible it looks", de: "Wie glaubwürdig es aussieht" },
  score: { en: "Doubt", de: "Zweifel" },
  ofHundred: { en: "{share} of 100 %", de: "{share} von 100 %" },
  isImplausible: { en: "shown as implausible, from {limit} % on", de: "gilt als unglaubwürdig, ab {limit} %" },
  nothing: { en: "Nothing stands out.", de: "Nichts fällt auf." },
  noProofs: {
    en: "Nothing to say: there were no proofs in the 48 hours before {time}, when it was last reckoned. That is done every ten minutes.",
    de: "Nichts zu sagen: In den 48 Stunden vor {time}, als zuletzt gerechnet wurde, gab es keine Beweise. Gerechnet wird alle zehn Minuten.",
  },
  proofs: { en: "Proofs in 48 hours", de: "Beweise in 48 Stunden" },
  accounts: { en: "Accounts", de: "Konten" },
  ofThem: { en: "{count}, of which {implausible} look implausible", de: "{count}, davon sehen {implausible} unglaubwürdig aus" },
  reasons: { en: "Why", de: "Warum" },
  strength: { en: "Strength {share} %, and would count {weight} % at its strongest.", de: "Stärke {share} %, und würde mit voller Stärke {weight} % zählen." },
  ofAccounts: { en: "Of about {count} accounts here.", de: "Von etwa {count} Konten hier." },
  decidesNothing: {
    en: "It is reckoned from final proofs alone, and decides nothing: no proof is refused for it, and nothing is paid less. It can be wrong about people.",
    de: "Es ist allein aus endgültigen Beweisen errechnet und entscheidet nichts: Kein Beweis wird deshalb abgelehnt, und nichts wird geringer bezahlt. Es kann Menschen Unrecht tun.",
  },
  since: { en: "As of {time}.", de: "Stand {time}." },
  incomplete: { en: "This node lacks proofs from before height {height}.", de: "Diesem Knoten fehlen Beweise von vor der Höhe {height}." },
} as const;

/** What each signal says (docs/plausibility.md): in general, which is what a triangle has, and of one account with its figures. */
export const signals: Readonly<Record<string, { name: Text; ofAccount: Text }>> = {
  identical_accuracies: {
    name: { en: "Always the same accuracy", de: "Immer dieselbe Genauigkeit" },
    ofAccount: {
      en: "{sameAccuracy} of its {proofs} proofs state exactly the same accuracy. Receivers vary.",
      de: "{sameAccuracy} seiner {proofs} Beweise nennen genau dieselbe Genauigkeit. Empfänger schwanken.",
    },
  },
  machine_intervals: {
    name: { en: "Intervals like a machine's", de: "Abstände wie von einer Maschine" },
    ofAccount: {
      en: "{sameInterval} of the times between its proofs are {interval}, to within 2 %.",
      de: "{sameInterval} der Abstände zwischen seinen Beweisen sind {interval}, auf 2 % genau.",
    },
  },
  no_rest: {
    name: { en: "No rest", de: "Keine Ruhe" },
    ofAccount: { en: "In {span} its longest pause was {longestPause}.", de: "In {span} war seine längste Pause {longestPause}." },
  },
  impossible_travel: {
    name: { en: "Faster than anybody travels", de: "Schneller, als jemand reist" },
    ofAccount: {
      en: "{impossibleWays} of its ways are over 100 km and faster than sound.",
      de: "{impossibleWays} seiner Wege sind über 100 km lang und schneller als der Schall.",
    },
  },
  proves_once: {
    name: { en: "Proven once, and away since", de: "Einmal bewiesen und seitdem weg" },
    ofAccount: { en: "It has proven once, {away} ago.", de: "Es hat einmal bewiesen, vor {away}." },
  },
  newcomer_pace: {
    name: { en: "Many new accounts at once", de: "Viele neue Konten auf einmal" },
    ofAccount: {
      en: "It was new within ten minutes with {newcomers} accounts of the region; usual are {usualNewcomers}.",
      de: "Es war in zehn Minuten mit {newcomers} Konten der Gegend neu; üblich sind {usualNewcomers}.",
    },
  },
  newcomer_accuracies: {
    name: { en: "New accounts with the same accuracy", de: "Neue Konten mit derselben Genauigkeit" },
    ofAccount: {
      en: "{sameAccuracy} of the {newcomers} accounts that were new with it state exactly its accuracy.",
      de: "{sameAccuracy} der {newcomers} Konten, die mit ihm neu waren, nennen genau seine Genauigkeit.",
    },
  },
  newcomer_intervals: {
    name: { en: "New accounts at even intervals", de: "Neue Konten in gleichen Abständen" },
    ofAccount: {
      en: "{newcomers} accounts were new with it, {sameInterval} of them {interval} after the one before.",
      de: "{newcomers} Konten waren mit ihm neu, {sameInterval} davon {interval} nach dem vorigen.",
    },
  },
  far_from_history: {
    name: { en: "New accounts where nobody had proven", de: "Neue Konten, wo niemand bewiesen hatte" },
    ofAccount: {
      en: "It was new with {newcomers} accounts in a triangle of level {level} in which nobody had proven.",
      de: "Es war mit {newcomers} Konten neu in einem Dreieck der Stufe {level}, in dem niemand bewiesen hatte.",
    },
  },
  co_movement: {
    name: { en: "Moves with others", de: "Bewegt sich mit anderen" },
    ofAccount: {
      en: "{companions} accounts stop where and when it does.",
      de: "{companions} Konten halten dort und dann, wo es hält.",
    },
  },
};
