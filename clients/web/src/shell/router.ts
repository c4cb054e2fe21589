// Every page has an address of its own behind the `#`, so that it can be shared: `#/batch/12`, `#/search?for=Z%C3%BCrich`.
// What is behind the `#` is never sent to the node.
import { useEffect, useState } from "preact/hooks";

/** Where the reader is: the parts of the path, and what stands behind the `?`. */
export interface Place {
  parts: readonly string[];
  query: URLSearchParams;
}

/** `#node` is the same as `#/node`. */
export function placeOf(hash: string): Place {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter((part) => part !== "");
  return { parts: parts.map(decoded), query: new URLSearchParams(query) };
}

/** The address of a page: `link("batch", 12)` is `#/batch/12`. */
export function link(...parts: (string | number)[]): string {
  return `#/${parts.map((part) => encodeURIComponent(String(part))).join("/")}`;
}

export function go(address: string): void {
  location.hash = address;
}

/** Where the reader is now; what uses it is drawn anew when that changes. */
export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = () => setHash(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return placeOf(hash);
}

/** A person can write anything behind the `#`: what is no encoding stays as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}
