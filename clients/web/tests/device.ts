// A page's device, for what keeps and asks: an IndexedDB of one store in memory, no other tabs, and nodes that `answers` speaks for.
// Import this before what is tested.
import "./page.ts";

/** What is kept, by name. */
export const store = new Map<string, unknown>();
/** How many of the next requests of the store fail. */
export const faults = { next: 0 };
/** What is answered to a path of the node. */
export const answers = new Map<string, () => unknown>();
export const NODE = "http://home.test";

function request<T>(result: () => T) {
  const made: { result?: T; error?: DOMException; onsuccess?: () => void; onerror?: () => void } = {};
  setTimeout(() => {
    if (faults.next > 0) {
      faults.next -= 1;
      made.error = new DOMException("the store is closed", "InvalidStateError");
      made.onerror?.();
    } else {
      made.result = result();
      made.onsuccess?.();
    }
  });
  return made;
}

const named = ({ from, to }: { from: string; to: string }) => [...store].filter(([name]) => name >= from && name <= to).sort();
const objects = {
  get: (name: string) => request(() => store.get(name)),
  put: (value: unknown, name: string) => request(() => void store.set(name, value)),
  delete: (name: string) => request(() => void store.delete(name)),
  getAllKeys: (range: { from: string; to: string }) => request(() => named(range).map(([name]) => name)),
  getAll: (range: { from: string; to: string }) => request(() => named(range).map(([, value]) => value)),
};
const database = { transaction: () => ({ objectStore: () => objects }) };

Object.assign(document, { baseURI: `${NODE}/app/`, addEventListener: () => undefined });
Object.assign(globalThis, {
  indexedDB: { open: () => request(() => database) },
  IDBKeyRange: { bound: (from: string, to: string) => ({ from, to }) },
  BroadcastChannel: class {
    postMessage() {}
  },
  addEventListener: () => undefined,
  fetch: async (url: string) => {
    const answer = answers.get(String(url).replace(NODE, "").replace(/\?.*/, ""));
    if (!answer) return new Response("[]", { status: url === "nodes.json" ? 200 : 404 });
    const told = answer();
    return told instanceof Response ? told : new Response(typeof told === "string" ? told : JSON.stringify(told));
  },
});
