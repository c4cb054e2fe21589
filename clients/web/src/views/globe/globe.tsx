import type { Place } from "../../shell/router.ts";

export default function Globe({ place }: { place: Place }) {
  return <p>{place.parts.join("/")}</p>;
}
