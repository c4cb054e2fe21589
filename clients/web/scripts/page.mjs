// The page itself. Over a slow network each request costs a round trip before its first byte: what the frame needs stands in
// the page (its styles, its script, and the frame as it looks, in each language), and the page asks for all else at once.
import { join } from "node:path";
import { build } from "esbuild";
import { common, root } from "./bundling.mjs";

/** `template` with what was made in its places. `first` and `styles` are names of parts, `frame` is a script. */
export async function page(template, { first, frame, styles }) {
  const { frames } = await loaded("src/shell/still.tsx");
  const [{ en, ...others }, early, style] = [frames(), await script("src/shell/early.ts"), await styleSheet("src/shell/frame.css")];
  const values = {
    first,
    styles,
    style,
    still: html(en),
    others: Object.entries(others).map(([language, still]) => `<template id="still-${language}">${html(still)}</template>`).join(""),
    early,
    frame,
  };
  return template.replace(/\{\{(\w+)\}\}/g, (_, name) => (/<\/(script|style)/i.test(values[name]) ? refuse(name) : values[name]));
}

function refuse(name) {
  throw new Error(`${name} would end the element that it stands in`);
}

const made = async (options) => (await build({ ...common, write: false, ...options })).outputFiles[0].text.trim();
const script = (source) => made({ entryPoints: [source], format: "iife" });
const styleSheet = (source) => made({ entryPoints: [source] });

/** A module of the app, run here, where there is no page: what it asks of one for the texts' language is made up. */
async function loaded(source) {
  Object.assign(globalThis, { document: { documentElement: { lang: "" } }, localStorage: { setItem: () => undefined } });
  const text = await made({ entryPoints: [join(root, source)], platform: "node" });
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

const EMPTY = new Set(["img", "path"]);

/** What a tree of Preact's looks like as a page: elements, and components without hooks. */
function html(node) {
  if (node === null || node === undefined || typeof node === "boolean") return "";
  if (Array.isArray(node)) return node.map(html).join("");
  if (typeof node !== "object") return escaped(String(node));
  const { type, props: { children, ...attributes } } = node;
  if (typeof type === "function") return html(type(node.props));
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined && value !== null && value !== false)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join("");
  return EMPTY.has(type) ? `<${type}${written}>${type === "path" ? "</path>" : ""}` : `<${type}${written}>${html(children)}</${type}>`;
}

const escaped = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
