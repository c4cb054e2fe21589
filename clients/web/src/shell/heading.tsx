// The heading of a step that takes the place of another: what had the focus is gone with that one, so the heading takes it,
// and screen readers read on from there.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function StepHeading({ children }: { children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement === null) heading.current?.focus();
  }, []);
  return <h1 ref={heading} tabIndex={-1}>{children}</h1>;
}
