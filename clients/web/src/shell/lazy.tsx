// A component whose code comes when it is first drawn.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { say } from "./texts.ts";

/** What is an addition to a page (`isVital` is false) shows nothing until it is there, and where it cannot be had. */
export function lazy<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>, { isVital = true } = {}): ComponentType<Props> {
  let ready: { Loaded: ComponentType<Props> } | undefined;
  return function Lazy(props: Props) {
    const [loaded, setLoaded] = useState(ready);
    const [failed, setFailed] = useState<{ error: unknown }>();
    useEffect(() => {
      if (!loaded) load().then(({ default: Loaded }) => setLoaded((ready = { Loaded })), (error: unknown) => setFailed({ error }));
    }, []);
    // Offline, or a new version has other parts: the page's boundary says so.
    if (failed && isVital) throw failed.error;
    if (loaded) return <loaded.Loaded {...props} />;
    return isVital ? <p role="status">{say(shell.loading)}</p> : null;
  };
}
