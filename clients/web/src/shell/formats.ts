// Browsers take long to make what writes numbers and dates, and little to use it: each is made once. There are as many as
// languages and ways of writing.
const made = new Map<string, unknown>();

function once<T>(kind: string, locale: string, options: object, make: () => T): T {
  const name = `${kind} ${locale} ${JSON.stringify(options)}`;
  if (!made.has(name)) made.set(name, make());
  return made.get(name) as T;
}

export function numberFormat(locale: string, options: Intl.NumberFormatOptions = {}): Intl.NumberFormat {
  return once("number", locale, options, () => new Intl.NumberFormat(locale, options));
}

export function dateTimeFormat(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  // Whoever travels with the page open is shown the clocks of where he is.
  const zone = new Date().getTimezoneOffset();
  return once(`date ${zone}`, locale, options, () => new Intl.DateTimeFormat(locale, options));
}

export function relativeTimeFormat(locale: string, options: Intl.RelativeTimeFormatOptions): Intl.RelativeTimeFormat {
  return once("relative", locale, options, () => new Intl.RelativeTimeFormat(locale, options));
}
