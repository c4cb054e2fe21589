export const ids = {
  copy: { en: "Copy {what}", de: "{what} kopieren" },
  copied: { en: "Copied", de: "Kopiert" },
  notCopied: { en: "This browser does not let the page copy", de: "Dieser Browser lässt die Seite nicht kopieren" },
} as const;
