// The frame around every page: header, bar, what is new, and the page that the address names.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { useQuestion } from "../wallet/asking.ts";
import { Bar, Icon } from "./bar.tsx";
import { Boundary, Failed } from "./boundary.tsx";
import { useInstall } from "./install.ts";
import { News, WrongChain } from "./news.tsx";
import { useStrangers } from "./node.ts";
import { HOME_NODE } from "./nodes.ts";
import { link, usePlace, type Place } from "./router.ts";
import { Standing } from "./standing.tsx";
import { LANGUAGES, language, say, speak, type Language } from "./texts.ts";
import { PAGES, type Page, type View } from "./views.ts";
import { registerWorker } from "./worker.ts";

const OTHER: Readonly<Record<Language, Language>> = { en: "de", de: "en" };
/** By then the first screen has what it needs, also over a slow network. */
const SETTLED_MS = 2_000;
const DOWNWARD_ARROW = "M12 4v11M7 11l5 5 5-5M5 20h14";

export function Shell() {
  const place = usePlace();
  const page = PAGES[place.parts[0] ?? ""];
  const stranger = useStrangers().find(({ node }) => node === HOME_NODE);
  const [spoken, setSpoken] = useState(language);
  const content = useRef<HTMLElement>(null);
  useFocusOnArrival(content, place, page);
  useEffect(() => afterFirstScreen(), []);
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
      <a class="skip" href="#content" onClick={skip}>
        {say(shell.skip)}
      </a>
      <header class="top">
        <a class="brand" href={link()} aria-label={say(shell.home)}>
          <img src="icon.svg" alt="" width="28" height="28" />
          <span>STEP</span>
        </a>
        <Standing />
        <Install />
        <button type="button" class="plain" lang={OTHER[spoken]} onClick={change} aria-label={`${OTHER[spoken].toUpperCase()}: ${LANGUAGES[OTHER[spoken]]}`}>
          {OTHER[spoken].toUpperCase()}
        </button>
      </header>
      <Bar current={page?.title} />
      <News />
      <main id="content" tabIndex={-1} ref={content}>
        {stranger ? (
          <WrongChain stranger={stranger} />
        ) : page ? (
          <Boundary key={page.load}>
            <Loaded page={page} place={place} />
          </Boundary>
        ) : (
          <Missing />
        )}
      </main>
      <Unlocking />
    </>
  );
}

/** What the app wants to have without a connection: its files, and the genesis of its chain. */
function afterFirstScreen(): void {
  const begin = async () => {
    await registerWorker();
    const { pinnedGenesis } = await import("./chain.ts");
    await pinnedGenesis();
  };
  const later = () => setTimeout(() => void begin().catch((error: unknown) => console.debug("not kept yet", error)), SETTLED_MS);
  if (document.readyState === "complete") later();
  else addEventListener("load", later, { once: true });
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
  const [loaded, setLoaded] = useState<{ View: View } | { error: unknown }>();
  useEffect(() => {
    let wanted = true;
    page.load().then(
      ({ default: View }) => wanted && setLoaded({ View }),
      (error: unknown) => wanted && setLoaded({ error }),
    );
    return () => {
      wanted = false;
    };
  }, [page.load]);
  if (!loaded) return <p role="status">{say(shell.loading)}</p>;
  return "error" in loaded ? <Failed error={loaded.error} /> : <loaded.View place={place} />;
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

/** The dialog that asks for what opens a key; loaded when somebody first wants one. */
function Unlocking() {
  const question = useQuestion();
  const [loaded, setLoaded] = useState<{ Dialog: typeof import("./unlock-dialog.tsx").default }>();
  const isWanted = question !== null;
  useEffect(() => {
    // Where the dialog cannot be had, as without a connection, whoever wants to sign hears of it, and does not wait.
    if (question) import("./unlock-dialog.tsx").then(({ default: Dialog }) => setLoaded({ Dialog }), () => question.cancel());
  }, [isWanted]);
  return question && loaded ? <loaded.Dialog question={question} /> : null;
}

function Missing() {
  return (
    <>
      <h1>{say(shell.nothingHere)}</h1>
      <a href={link()}>{say(shell.toGlobe)}</a>
    </>
  );
}
