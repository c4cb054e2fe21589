// The search box on every page of the explorer. What is looked for stands in the address, so that it can be shared.
import { useEffect, useState } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { SEARCH_CHARACTERS_MAX } from "./recognise.ts";

export function SearchBox({ text }: { text: string }) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    if (typed.trim() !== "") go(searchAddress(typed.trim()));
  };
  return (
    <form class="search" role="search" onSubmit={search}>
      <input
        type="search"
        aria-label={say(explorer.searchLabel)}
        title={say(explorer.searchLong)}
        placeholder={say(explorer.searchHint)}
        value={typed}
        maxLength={SEARCH_CHARACTERS_MAX}
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <button type="submit" class="main">{say(explorer.search)}</button>
    </form>
  );
}

export function searchAddress(text: string): string {
  return `${link("search")}?for=${encodeURIComponent(text)}`;
}
