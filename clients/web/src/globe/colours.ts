// The theme's colours as the canvas can use them: a canvas knows nothing of variables.

const NAMES = ["sea", "land", "wood", "road", "building", "border", "mesh", "accent", "ink", "quiet", "good", "warn", "raised", "heat"] as const;

export type Colours = Readonly<Record<(typeof NAMES)[number], string>>;

export function coloursOf(element: HTMLElement): Colours {
  const before = element.style.color;
  const found = NAMES.map((name) => {
    element.style.color = `var(--${name})`;
    return [name, getComputedStyle(element).color] as const;
  });
  element.style.color = before;
  return Object.fromEntries(found) as Colours;
}
