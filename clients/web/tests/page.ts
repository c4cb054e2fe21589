// What a page has and Node has not, as far as the texts ask for it: import this before what reads texts.
const values = new Map<string, string>();

Object.assign(globalThis, {
  localStorage: {
    getItem: (name: string) => values.get(name) ?? null,
    setItem: (name: string, value: string) => void values.set(name, value),
    removeItem: (name: string) => void values.delete(name),
  },
  document: { documentElement: { lang: "" } },
});
if (!("navigator" in globalThis)) Object.assign(globalThis, { navigator: { languages: ["en"] } });

export {};
