// A component whose code comes when it is first drawn.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { say } from "./texts.ts";

export function lazy<Props extends object>(load: () => Promise<{ default: ComponentType<Props> }>): ComponentType<Props> {
  let ready: { Loaded: ComponentType<Props> } | undefined;
  return function Lazy(props: Props) {
    const [loaded, setLoaded] = useState(ready);
    useEffect(() => {
      if (!loaded) void load().then(({ default: Loaded }) => setLoaded((ready = { Loaded })));
    }, []);
    return loaded ? <loaded.Loaded {...props} /> : <p role="status">{say(shell.loading)}</p>;
  };
}
