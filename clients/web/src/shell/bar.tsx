// The parts of the frame that need no script: what skips to the content, the name, and the bar, which is on phones at the
// bottom, where a thumb reaches it. No hooks: `still.tsx` draws them when the app is built.
import { shell } from "../texts/shell.ts";
import { link } from "./router.ts";
import { say, type Text } from "./texts.ts";
import { IN_THE_BAR, PAGES } from "./views.ts";

const ICONS: Readonly<Record<(typeof IN_THE_BAR)[number], string>> = {
  "": "M12 3a9 9 0 1 0 0 18 9 9 0 1 0 0-18M3 12h18M12 3c-5 5-5 13 0 18M12 3c5 5 5 13 0 18",
  prove: "M12 21c-4-4.5-7-8-7-11a7 7 0 0 1 14 0c0 3-3 6.5-7 11M12 7.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 1 0 0-5",
  wallet: "M4 7h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2zM4 7a2 2 0 0 1 2-2h10M15.5 13.5h1",
  explorer: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 1 0 0-13M15.5 15.5 20 20",
  node: "M4 5h16v6H4zM4 13h16v6H4zM7 8h1M7 16h1",
};

export function Skip({ onClick }: { onClick?: (event: Event) => void }) {
  return (
    <a class="skip" href="#content" onClick={onClick}>
      {say(shell.skip)}
    </a>
  );
}

export function Brand() {
  return (
    <a class="brand" href={link()} aria-label={say(shell.home)}>
      <img src="icon.svg" alt="" width="28" height="28" />
      <span>STEP</span>
    </a>
  );
}

export function Bar({ current }: { current: Text | undefined }) {
  return (
    <nav class="bar" aria-label={say(shell.pages)}>
      {IN_THE_BAR.map((to) => {
        const { title } = PAGES[to]!;
        return (
          <a key={to} href={link(...(to === "" ? [] : [to]))} aria-current={title === current ? "page" : undefined}>
            <Icon path={ICONS[to]} />
            {say(title)}
          </a>
        );
      })}
    </nav>
  );
}

/** Line drawings on 24 by 24, of the colour of the text beside them. */
export function Icon({ path }: { path: string }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
