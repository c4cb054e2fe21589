import type { Place } from "../../shell/router.ts";

export default function Explorer({ place }: { place: Place }) {
  return <p>{place.parts.join("/")}</p>;
}
