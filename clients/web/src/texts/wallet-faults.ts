import type { Text } from "../shell/texts.ts";
import type { WalletCode } from "../wallet/faults.ts";

/** Each says what is wrong, and what to do. */
export const walletFaults: Readonly<Record<WalletCode, Text>> = {
  NO_ACCOUNT: { en: "There is no account yet. Make one in the wallet.", de: "Es gibt noch kein Konto. Lege im Bereich Konto eines an." },
  INSECURE: {
    en: "This page came over an insecure connection, where browsers do not encrypt. Open the node by https, or on its own machine by localhost.",
    de: "Diese Seite kam über eine unsichere Verbindung, auf der Browser nicht verschlüsseln. Öffne den Knoten mit https, oder auf seinem eigenen Rechner mit localhost.",
  },
  WRONG_PASSPHRASE: { en: "That is not the passphrase. Try again.", de: "Das ist nicht die Passphrase. Versuche es noch einmal." },
  WEAK_PASSPHRASE: {
    en: "Take at least 10 characters, five of them different. Four unrelated words are good.",
    de: "Nimm mindestens 10 Zeichen, davon fünf verschiedene. Gut sind vier Wörter, die nichts miteinander zu tun haben.",
  },
  CANCELLED: { en: "Nothing was done: it was cancelled, or took too long.", de: "Es ist nichts geschehen: abgebrochen, oder es hat zu lange gedauert." },
  NO_PASSKEY_HERE: {
    en: "This browser has no passkeys at this address. Take a passphrase.",
    de: "Dieser Browser hat unter dieser Adresse keine Passkeys. Nimm eine Passphrase.",
  },
  PASSKEY_WITHOUT_PRF: {
    en: "This passkey cannot seal a key (it lacks the PRF extension). Choose another device for it, or take a passphrase.",
    de: "Dieser Passkey kann keinen Schlüssel versiegeln (ihm fehlt die Erweiterung PRF). Wähle ein anderes Gerät dafür, oder nimm eine Passphrase.",
  },
  PASSKEY_SILENT: {
    en: "The passkey gave no answer: it was cancelled, took too long, or the passkey is not on this device any more. Try again, or bring the account back by its words.",
    de: "Der Passkey hat nicht geantwortet: abgebrochen, zu lange gewartet, oder er ist nicht mehr auf diesem Gerät. Versuche es noch einmal, oder hole das Konto mit seinen Wörtern zurück.",
  },
  PASSKEY_GONE: {
    en: "This passkey does not open the key. If the passkey was removed, remove the account here and bring it back by its words or its file.",
    de: "Dieser Passkey öffnet den Schlüssel nicht. Wurde der Passkey gelöscht, dann entferne das Konto hier und hole es mit seinen Wörtern oder seiner Datei zurück.",
  },
  NOT_KEPT: {
    en: "This browser keeps nothing for this page (a private window, perhaps), so a key would be lost. Use an ordinary window.",
    de: "Dieser Browser bewahrt für diese Seite nichts auf (vielleicht ein privates Fenster), ein Schlüssel ginge verloren. Nimm ein gewöhnliches Fenster.",
  },
  NO_KEYSTORE: {
    en: "This file is no keystore of version 3, with scrypt or pbkdf2 and aes-128-ctr. Choose the JSON file that a wallet has exported.",
    de: "Diese Datei ist kein Keystore der Version 3 mit scrypt oder pbkdf2 und aes-128-ctr. Wähle die JSON-Datei, die eine Wallet ausgegeben hat.",
  },
  KEYSTORE_TOO_COSTLY: {
    en: "This keystore asks for more memory or time than a browser has. Export it again with usual parameters (scrypt, n up to 262144).",
    de: "Dieser Keystore verlangt mehr Speicher oder Zeit, als ein Browser hat. Gib ihn neu aus, mit üblichen Parametern (scrypt, n bis 262144).",
  },
  KEYSTORE_ADDRESS: {
    en: "The key in this file is not that of the address in it. The file was altered; take another copy.",
    de: "Der Schlüssel in dieser Datei gehört nicht zur Adresse darin. Die Datei wurde verändert; nimm eine andere Kopie.",
  },
  NO_WORDS: {
    en: "These are not the 12 to 24 English words of a wallet: a word is not in the list, is missing, or stands in another place.",
    de: "Das sind nicht die 12 bis 24 englischen Wörter einer Wallet: ein Wort steht nicht in der Liste, fehlt, oder steht an anderer Stelle.",
  },
  NO_KEY: { en: "That is no private key: it has 64 hex digits, with or without 0x.", de: "Das ist kein privater Schlüssel: er hat 64 Hexadezimalziffern, mit oder ohne 0x." },
  WALLET_GONE: {
    en: "The other wallet is not there. Is its extension switched on in this browser?",
    de: "Die andere Wallet ist nicht da. Ist ihre Erweiterung in diesem Browser eingeschaltet?",
  },
  WRONG_WALLET_ACCOUNT: {
    en: "The other wallet does not sign for this account. Choose it there, and allow this page to use it.",
    de: "Die andere Wallet unterschreibt nicht für dieses Konto. Wähle es dort und erlaube es dieser Seite.",
  },
  WALLET_REFUSED: { en: "The other wallet refused. It says more itself.", de: "Die andere Wallet hat abgelehnt. Näheres sagt sie selbst." },
  ADAPTER_BROKEN: {
    en: "The wallet that this node's operator offers cannot be used. Tell the operator, or make a key here.",
    de: "Die Wallet, die der Betreiber dieses Knotens anbietet, lässt sich nicht benutzen. Sag es dem Betreiber, oder lege hier einen Schlüssel an.",
  },
  TOO_MANY_ACCOUNTS: {
    en: "There are 32 accounts on this device already. Remove one first.",
    de: "Auf diesem Gerät sind schon 32 Konten. Entferne zuerst eines.",
  },
};
