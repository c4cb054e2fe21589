// The frame around every page: the bar, the title, and the page that the address names.
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { useQuestion } from "../wallet/asking.ts";
import { link, usePlace } from "./router.ts";
import { say } from "./texts.ts";
import { IN_THE_BAR, PAGES, type Page, type View } from "./views.ts";

export function Shell() {
  const place = usePlace();
  const name = place.parts[0] ?? "";
  const page = PAGES[name];
  return (
    <>
      <a class="skip" href="#content">{say(shell.skip)}</a>
      <header class="bar">
        <nav aria-label={say(shell.pages)}>
          {IN_THE_BAR.map((to) => (
            <a href={link(...(to === "" ? [] : [to]))} aria-current={PAGES[to]?.title === page?.title ? "page" : undefined}>
              {say(PAGES[to]!.title)}
            </a>
          ))}
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        {page ? <Loaded key={page.load} page={page} place={place} /> : <Missing />}
      </main>
      <Unlocking />
    </>
  );
}

function Loaded({ page, place }: { page: Page; place: ReturnType<typeof usePlace> }) {
  const [loaded, setLoaded] = useState<{ View: View }>();
  // Before the page's own effects: what it shows may have a title of its own.
  useLayoutEffect(() => {
    document.title = `${say(page.title)} · STEP`;
  }, [page]);
  useEffect(() => {
    let wanted = true;
    void page.load().then(({ default: View }) => wanted && setLoaded({ View }));
    return () => {
      wanted = false;
    };
  }, [page]);
  return loaded ? <loaded.View place={place} /> : <p role="status">{say(shell.loading)}</p>;
}

/** The dialog that asks for what opens a key; loaded when somebody first wants one. */
function Unlocking() {
  const question = useQuestion();
  const [loaded, setLoaded] = useState<{ Dialog: typeof import("./unlock-dialog.tsx").default }>();
  const isWanted = question !== null;
  useEffect(() => {
    if (isWanted) void import("./unlock-dialog.tsx").then(({ default: Dialog }) => setLoaded({ Dialog }));
  }, [isWanted]);
  return question && loaded ? <loaded.Dialog question={question} /> : null;
}

function Missing() {
  return (
    <p>
      {say(shell.nothingHere)} <a href={link()}>{say(shell.toGlobe)}</a>
    </p>
  );
}
