// A field of a form: its label, and below it a hint, or what is wrong with what is in it, which screen readers tell after
// the name and not as a part of it.
import type { ComponentChildren, JSX } from "preact";
import { useId } from "preact/hooks";

interface Props {
  label: string;
  hint?: ComponentChildren;
  isWrong?: boolean;
  /** The input, with what ties it to label and hint. */
  children: (own: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => JSX.Element;
}

export function Field({ label, hint, isWrong, children }: Props) {
  const id = useId();
  const described = hint === undefined ? {} : { "aria-describedby": `${id}-hint` };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...described, ...(isWrong === undefined ? {} : { "aria-invalid": isWrong }) })}
      {hint !== undefined && <small id={`${id}-hint`} class={isWrong ? "bad" : ""}>{hint}</small>}
    </div>
  );
}
