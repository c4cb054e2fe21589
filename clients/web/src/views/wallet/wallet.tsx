import type { Place } from "../../shell/router.ts";

export default function Wallet({ place }: { place: Place }) {
  return <p>{place.parts.join("/")}</p>;
}
