export const shell = {
  globe: { en: "Globe", de: "Globus" },
  prove: { en: "Prove", de: "Beweisen" },
  wallet: { en: "Wallet", de: "Konto" },
  receipt: { en: "Receipt", de: "Quittung" },
  explorer: { en: "Explorer", de: "Einsicht" },
  node: { en: "Node", de: "Knoten" },
  loading: { en: "Loading…", de: "Wird geladen …" },
  nothingHere: { en: "There is no such page.", de: "Diese Seite gibt es nicht." },
  toGlobe: { en: "Back to the globe", de: "Zurück zum Globus" },
  skip: { en: "Skip to the content", de: "Zum Inhalt springen" },
  pages: { en: "Pages", de: "Seiten" },
} as const;
