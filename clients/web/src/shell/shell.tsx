// The frame around every page: header, bar, what is new, and the page that the address names.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { Bar, Brand, Icon, Skip } from "./bar.tsx";
import { Boundary, Failed } from "./boundary.tsx";
import { useInstall } from "./install.ts";
import { link, usePlace, type Place } from "./router.ts";
import { LANGUAGES, language, say, speak, type Language } from "./texts.ts";
import { PAGES, type Page, type View } from "./views.ts";

const OTHER: Readonly<Record<Language, Language>> = { en: "de", de: "en" };
const DOWNWARD_ARROW = "M12 4v11M7 11l5 5 5-5M5 20h14";

/** What of the frame asks nodes, and so needs what does. */
type Later = typeof import("./later.tsx");

const loadLater = () => import("./later.tsx");

export function Shell() {
  const place = usePlace();
  const page = PAGES[place.parts[0] ?? ""];
  const [later, setLater] = useState<Later>();
  const [spoken, setSpoken] = useState(language);
  const content = useRef<HTMLElement>(null);
  useFocusOnArrival(content, place, page);
  useEffect(() => {
    // Where it cannot be had, neither can any page, and that says so.
    loadLater().then(setLater, () => undefined);
  }, []);
  // Before the page's own effects: what it shows may have a title of its own.
  useLayoutEffect(() => {
    document.title = `${say(page?.title ?? shell.nothingHere)} · STEP`;
  }, [page, spoken]);

  const change = () => {
    speak(OTHER[spoken]);
    setSpoken(language());
  };
  const skip = (event: Event) => {
    event.preventDefault(); // What stands behind the `#` names a page.
    content.current?.focus();
  };
  return (
    <>
      <Skip onClick={skip} />
      <header class="top">
        <Brand />
        {later ? <later.Standing /> : <span class="standing" />}
        <Install />
        <button type="button" class="plain" lang={OTHER[spoken]} onClick={change} aria-label={`${OTHER[spoken].toUpperCase()}: ${LANGUAGES[OTHER[spoken]]}`}>
          {OTHER[spoken].toUpperCase()}
        </button>
      </header>
      <Bar current={page?.title} />
      {later && <later.News />}
      <main id="content" tabIndex={-1} ref={content}>
        {page ? (
          <Boundary key={page.load}>
            <Loaded page={page} place={place} />
          </Boundary>
        ) : (
          <Missing />
        )}
      </main>
      {later && <later.Unlocking />}
    </>
  );
}

/** Who follows a link to another page is taken to its beginning, also with a keyboard or a screen reader. */
function useFocusOnArrival(content: { current: HTMLElement | null }, place: Place, page: Page | undefined): void {
  const from = useRef<{ path: string; page: Page | undefined }>(undefined);
  const path = place.parts.join("/");
  useEffect(() => {
    const before = from.current;
    from.current = { path, page };
    // The map's address changes with every look around; and whoever has just opened the app has not gone anywhere.
    if (!before || (before.page?.load === page?.load && (before.path === path || page?.isOnePlace))) return;
    scrollTo(0, 0);
    content.current?.focus({ preventScroll: true });
  }, [path, page]);
}

function Loaded({ page, place }: { page: Page; place: Place }) {
  const [loaded, setLoaded] = useState<{ View: View; later: Later } | { error: unknown }>();
  useEffect(() => {
    let wanted = true;
    Promise.all([page.load(), loadLater()]).then(
      ([{ default: View }, later]) => wanted && setLoaded({ View, later }),
      (error: unknown) => wanted && setLoaded({ error }),
    );
    return () => {
      wanted = false;
    };
  }, [page.load]);
  if (!loaded) return <p role="status">{say(shell.loading)}</p>;
  if ("error" in loaded) return <Failed error={loaded.error} />;
  const { View, later } = loaded;
  return (
    <later.OfThisChain>
      <View place={place} />
    </later.OfThisChain>
  );
}

function Install() {
  const install = useInstall();
  return install ? (
    <button type="button" class="plain install" onClick={install} title={say(shell.install)}>
      <Icon path={DOWNWARD_ARROW} />
      <span>{say(shell.install)}</span>
    </button>
  ) : null;
}

function Missing() {
  return (
    <>
      <h1>{say(shell.nothingHere)}</h1>
      <a href={link()}>{say(shell.toGlobe)}</a>
    </>
  );
}
