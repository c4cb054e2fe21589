export const times = {
  past: { en: "{length} ago", de: "vor {length}" },
  future: { en: "in {length}", de: "in {length}" },
  second: { en: "{count} second", de: "{count} Sekunde" },
  seconds: { en: "{count} seconds", de: "{count} Sekunden" },
  minute: { en: "{count} minute", de: "{count} Minute" },
  minutes: { en: "{count} minutes", de: "{count} Minuten" },
  hour: { en: "{count} hour", de: "{count} Stunde" },
  hours: { en: "{count} hours", de: "{count} Stunden" },
  day: { en: "{count} day", de: "{count} Tag" },
  days: { en: "{count} days", de: "{count} Tagen" },
  date: { en: "{day} {month} {year}", de: "{day}. {month} {year}" },
  months: {
    en: "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec",
    de: "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez.",
  },
  unknown: { en: "at an unknown time", de: "zu unbekannter Zeit" },
} as const;
