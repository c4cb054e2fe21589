// A page that fails says so, and leaves the rest of the app as it is.
import { Component, type ComponentChildren } from "preact";
import { shell } from "../texts/shell.ts";
import { say } from "./texts.ts";

export class Boundary extends Component<{ children: ComponentChildren }, { error?: unknown }> {
  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  componentDidCatch(error: unknown) {
    console.error(error);
  }

  render() {
    return this.state.error === undefined ? this.props.children : <Failed error={this.state.error} />;
  }
}

export function Failed({ error }: { error: unknown }) {
  return (
    <section class="card notice" role="alert">
      <h1>{say(shell.failed)}</h1>
      <p>{say(shell.failedTold)}</p>
      <div class="actions">
        <button type="button" class="main" onClick={() => location.reload()}>
          {say(shell.reload)}
        </button>
      </div>
      <p class="quiet mono">{String(error)}</p>
    </section>
  );
}
