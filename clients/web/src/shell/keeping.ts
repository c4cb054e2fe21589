// What the app keeps on this device between visits: values by name in one IndexedDB store. Values are what structured
// cloning takes (plain objects, bytes, dates). A browser that keeps nothing (some private windows) rejects, with a
// DOMException: the caller says so to the person.

const DATABASE = "step";
const STORE = "kept";

let opened: Promise<IDBDatabase> | undefined;

/** What was kept under a name, or undefined. */
export async function kept<T>(name: string): Promise<T | undefined> {
  return (await done((await store("readonly")).get(name))) as T | undefined;
}

/** Everything kept under names that begin so, in the order of the names. */
export async function keptUnder<T>(start: string): Promise<[name: string, value: T][]> {
  const range = IDBKeyRange.bound(start, `${start}\uffff`);
  const from = await store("readonly");
  const [names, values] = await Promise.all([done(from.getAllKeys(range)), done(from.getAll(range))]);
  return names.map((name, index) => [String(name), values[index] as T]);
}

export async function keep(name: string, value: unknown): Promise<void> {
  await done((await store("readwrite")).put(value, name));
}

/** Reads and writes in one transaction, so that two tabs do not undo one another's changes. The new value. */
export async function change<T>(name: string, to: (before: T | undefined) => T): Promise<T> {
  const within = await store("readwrite");
  const value = to((await done(within.get(name))) as T | undefined);
  await done(within.put(value, name));
  return value;
}

export async function forget(name: string): Promise<void> {
  await done((await store("readwrite")).delete(name));
}

/** Forgets what is kept under a name if it is what is meant: another tab may have kept something else there meanwhile. */
export async function forgetIf<T>(name: string, isMeant: (before: T) => boolean): Promise<void> {
  const within = await store("readwrite");
  const before = (await done(within.get(name))) as T | undefined;
  if (before !== undefined && isMeant(before)) await done(within.delete(name));
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  opened ??= open().catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  return (await opened).transaction(STORE, mode).objectStore(STORE);
}

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const database = await done(request);
  // The browser has closed it by itself, as Safari does with pages that slept for long: the next use here opens it again.
  database.onclose = () => (opened = undefined);
  // Another tab wants to change or delete it: that tab goes first, and the next use here opens it again.
  database.onversionchange = () => {
    database.close();
    opened = undefined;
  };
  return database;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new DOMException("nothing could be kept", "UnknownError"));
  });
}
