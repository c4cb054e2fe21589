// A component whose code comes when it is first drawn.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { say } from "./texts.ts";

export function lazy<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>): ComponentType<Props> {
  let ready: { Loaded: ComponentType<Props> } | undefined;
  return function Lazy(props: Props) {
    const [loaded, setLoaded] = useState(ready);
    const [failed, setFailed] = useState<{ error: unknown }>();
    useEffect(() => {
      if (!loaded) load().then(({ default: Loaded }) => setLoaded((ready = { Loaded })), (error: unknown) => setFailed({ error }));
    }, []);
    // Offline, or a new version has other parts: the page's boundary says so.
    if (failed) throw failed.error;
    return loaded ? <loaded.Loaded {...props} /> : <p role="status">{say(shell.loading)}</p>;
  };
}
