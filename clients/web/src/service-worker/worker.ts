// The service worker: keeps the app's files, so that it opens without a connection. It answers for nothing else: what the
// node's API says is never kept here.
//
// Each version of the app has a cache of its own, filled before it takes over, so that a page never loads parts of two
// versions. A new version waits until the person wants it, or until no page of the old one is open. Where one of several pages
// wants it, the others go on as they were: their parts stay until there is one page alone.

export {}; // A module, so that `self` is its own.

/** What is kept from the beginning, and a hash of all that is served: `scripts/build.mjs` puts them here. */
declare const FILES: string[];
declare const VERSION: string;
declare const self: ServiceWorkerGlobalScope;

const scope = self.registration.scope;
/** Nodes under one origin, behind a proxy, have caches of their own. */
const CACHES_OF_THIS_APP = `step-app ${scope} `;
const CACHE = CACHES_OF_THIS_APP + VERSION;
const PAGE = `${scope}index.html`;
/** Names in here change with what is in them. */
const PARTS = `${scope}parts/`;

const kept = new Set(FILES.map((name) => scope + name));

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", ({ data }) => {
  if (data === "take over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = request.url.replace(/[?#].*$/, "");
  if (request.method !== "GET" || !url.startsWith(scope)) return;
  if (request.mode === "navigate" && (url === scope || url === PAGE)) {
    event.respondWith(first(PAGE, request));
    event.waitUntil(lookAfterPage());
  } else if (kept.has(url) || url.startsWith(PARTS)) {
    event.respondWith(first(url, request));
  }
});

/** Parts that the version before has are taken from it. */
async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(
    [...kept].map(async (url) => {
      const before = url.startsWith(PARTS) ? await caches.match(url) : undefined;
      const answer = before ?? (await fetch(url, { cache: url.startsWith(PARTS) ? "default" : "no-cache" }));
      if (!answer.ok) throw new TypeError(`${url}: status ${answer.status}`);
      await cache.put(url, answer);
    }),
  );
}

async function activate(): Promise<void> {
  await forgetOthers();
  await self.clients.claim();
}

/** Versions before this one, unless a page may still want parts of them. One that is being installed has a cache already. */
async function forgetOthers(): Promise<void> {
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (pages.length > 1 || self.registration.installing || self.registration.waiting) return;
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(CACHES_OF_THIS_APP) && name !== CACHE).map((name) => caches.delete(name)));
}

/** What is kept; else what the node has, which is kept then: large parts, once somebody wants them. */
async function first(url: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = (await cache.match(url)) ?? (url.startsWith(PARTS) ? await ofAnyVersion(url) : undefined);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok && url.startsWith(PARTS)) await cache.put(url, answer.clone());
  return answer;
}

/** A part of a version before, which has a name of its own. */
async function ofAnyVersion(url: string): Promise<Response | undefined> {
  for (const name of await caches.keys()) {
    const found = name.startsWith(CACHES_OF_THIS_APP) ? await (await caches.open(name)).match(url) : undefined;
    if (found) return found;
  }
  return undefined;
}

/**
 * The page's headers say which nodes may be asked, and change without a new version: the page is asked for anew, and put in
 * the place of the one that is kept if it is the same but for them. A node that serves no app any more has this one go.
 */
async function lookAfterPage(): Promise<void> {
  await forgetOthers();
  const answer = await fetch(PAGE, { cache: "no-cache" }).catch(() => undefined);
  if (answer?.status === 404) {
    await self.registration.unregister();
    return;
  }
  if (!answer?.ok) return;
  const cache = await caches.open(CACHE);
  const before = await cache.match(PAGE);
  if (before && (await before.text()) === (await answer.clone().text())) await cache.put(PAGE, answer);
}
