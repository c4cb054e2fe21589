export const unlockTexts = {
  title: { en: "Unlock {name}", de: "{name} entsperren" },
  forSigning: { en: "The key of {account} is to sign.", de: "Der Schlüssel von {account} soll unterschreiben." },
  forBackup: { en: "The secret of {account} is to be shown or saved.", de: "Das Geheimnis von {account} soll gezeigt oder gespeichert werden." },
  passphrase: { en: "Passphrase", de: "Passphrase" },
  byPasskey: { en: "Use the passkey", de: "Passkey benutzen" },
  unlock: { en: "Unlock", de: "Entsperren" },
  cancel: { en: "Cancel", de: "Abbrechen" },
  working: { en: "Unlocking… {percent} %", de: "Wird entsperrt … {percent} %" },
} as const;
