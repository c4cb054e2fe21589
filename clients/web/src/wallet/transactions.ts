// What an account has done and been sent, as the node lists it, and as a table for spreadsheets.

export interface Transaction {
  type: string;
  id: string;
  height: number;
  timestamp: string;
  triangleId?: string | null;
  reward?: string | null;
  amount?: string | null;
  counterpart?: string | null;
  memo?: string | null;
}

const COLUMNS = ["timestamp", "type", "id", "height", "triangleId", "reward", "amount", "counterpart", "memo"] as const;

/** By RFC 4180. A memo is anybody's text: one that a spreadsheet would take for a formula gets an apostrophe before it. */
export function csvOf(transactions: readonly Transaction[]): string {
  const rows = transactions.map((entry) => COLUMNS.map((column) => cell(String(entry[column] ?? ""))).join());
  return `${[COLUMNS.join(), ...rows].join("\r\n")}\r\n`;
}

function cell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
