import "./device.ts";
import { test } from "node:test";
import { Component, h, render, type ContainerNode } from "preact";
import { lazy } from "../src/shell/lazy.tsx";

/** As much of an element as drawing texts takes. */
class FakeNode {
  childNodes: FakeNode[] = [];
  parentNode: FakeNode | null = null;
  data = "";
  constructor(readonly nodeType: number, readonly localName: string | null) {}
  get firstChild(): FakeNode | null {
    return this.childNodes[0] ?? null;
  }
  get nextSibling(): FakeNode | null {
    return this.parentNode?.childNodes[this.parentNode.childNodes.indexOf(this) + 1] ?? null;
  }
  get text(): string {
    return this.data + this.childNodes.map(({ text }) => text).join("");
  }
  setAttribute() {}
  removeAttribute() {}
  insertBefore(child: FakeNode, before: FakeNode | null) {
    child.remove();
    child.parentNode = this;
    this.childNodes.splice(before ? this.childNodes.indexOf(before) : this.childNodes.length, 0, child);
    return child;
  }
  appendChild(child: FakeNode) {
    return this.insertBefore(child, null);
  }
  removeChild(child: FakeNode) {
    this.childNodes = this.childNodes.filter((one) => one !== child);
    child.parentNode = null;
  }
  remove() {
    this.parentNode?.removeChild(this);
  }
}

const made = (name: string) => new FakeNode(1, name);
Object.assign(document, {
  createElement: made,
  createElementNS: (_: string, name: string) => made(name),
  createTextNode: (data: string) => Object.assign(new FakeNode(3, null), { data }),
});

class Bounds extends Component<object, { error?: unknown }> {
  static getDerivedStateFromError(error: unknown) {
    return { error };
  }
  render() {
    return this.state.error === undefined ? this.props.children : `failed: ${String(this.state.error)}`;
  }
}

test("a part that does not come is told of, and not waited for without end", { timeout: 5_000 }, async () => {
  const Part = lazy<object>(() => Promise.reject(new TypeError("no such part")));
  const root = made("div");
  render(h(Bounds, null, h(Part, {})), root as unknown as ContainerNode);
  while (!root.text.includes("failed: TypeError: no such part")) await new Promise((resolve) => setTimeout(resolve, 5));
});
