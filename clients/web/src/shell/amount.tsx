// An amount of STEP, exact, as people of the language read it.
import { shown } from "./amounts.ts";
import { language } from "./texts.ts";

/** `of`: the node's decimal text. `signed`: with a plus before what is more than nothing. */
export function Amount({ of, signed = false }: { of: string; signed?: boolean }) {
  const plus = signed && !of.startsWith("-") ? "+" : "";
  return <span class="amount">{`${plus}${shown(of, language())} STEP`}</span>;
}
