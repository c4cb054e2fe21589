// The browser's offer to install the app, held back until the person presses our button.
import { useEffect, useState } from "preact/hooks";

/** Chromium's; other browsers have it in their menus. */
interface InstallOffer extends Event {
  prompt: () => Promise<unknown>;
}

let offer: InstallOffer | undefined;
const watchers = new Set<() => void>();

function become(now: InstallOffer | undefined): void {
  offer = now;
  for (const watcher of [...watchers]) watcher();
}

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  become(event as InstallOffer);
});
addEventListener("appinstalled", () => become(undefined));

/** Asks the person, by the browser's own dialog; undefined where there is no offer. */
export function useInstall(): (() => void) | undefined {
  const [present, setPresent] = useState(offer);
  useEffect(() => {
    const look = () => setPresent(offer);
    look();
    watchers.add(look);
    return () => void watchers.delete(look);
  }, []);
  return (
    present &&
    (() => {
      become(undefined); // It can be asked once.
      void present.prompt();
    })
  );
}
