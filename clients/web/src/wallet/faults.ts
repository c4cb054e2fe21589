// What can go wrong with keys, as codes: each has a sentence for people in `texts/wallet.ts`. No message has a secret in it.

export type WalletCode =
  | "NO_ACCOUNT" // There is no current account.
  | "INSECURE" // The page came over plain HTTP: browsers have no crypto.subtle there.
  | "WRONG_PASSPHRASE" // Or what is sealed was altered.
  | "WEAK_PASSPHRASE"
  | "CANCELLED" // By the person, in a dialog of ours, the browser's or another wallet's.
  | "NO_PASSKEY_HERE" // No passkeys in this browser, or not at this address.
  | "PASSKEY_WITHOUT_PRF" // The authenticator gives no secret to seal with.
  | "PASSKEY_SILENT" // Asked to open, it gave no answer: browsers do not say why.
  | "PASSKEY_GONE" // The passkey that sealed the key was removed, or is on another device.
  | "NOT_KEPT" // The browser keeps nothing.
  | "NO_KEYSTORE" // A file that is no v3 keystore.
  | "KEYSTORE_TOO_COSTLY"
  | "KEYSTORE_ADDRESS" // The key is not that of the address that the file states.
  | "NO_WORDS"
  | "NO_KEY"
  | "WALLET_GONE" // The extension that has the key does not announce itself.
  | "WRONG_WALLET_ACCOUNT" // It has another account now.
  | "WALLET_REFUSED"
  | "ADAPTER_BROKEN"
  | "TOO_MANY_ACCOUNTS";

export class WalletError extends Error {
  readonly code: WalletCode;

  constructor(code: WalletCode, cause?: unknown) {
    super(code, cause === undefined ? {} : { cause });
    this.name = "WalletError";
    this.code = code;
  }
}
