// The live feed (docs/events.md): Server-Sent Events by fetch, resumed on whichever node answers.
import { StepError } from "./errors.js";

/** @param {import("./nodes.js").Nodes} nodes @param {string} path
 * @param {{lastEventId?: string, signal?: AbortSignal}} options
 * @returns {AsyncGenerator<import("../step-client.js").FeedEvent>} */
export async function* eventStream(nodes, path, { lastEventId, signal }) {
  for (let failures = 0; ; ) {
    const node = nodes.urls[failures % nodes.urls.length];
    const control = new AbortController();
    const abort = () => control.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", abort);
    try {
      const headers = { accept: "text/event-stream", ...(lastEventId && { "last-event-id": lastEventId }) };
      const response = await nodes.fetch(node + path, { headers, signal: control.signal });
      if (!response.ok || !response.body) throw await refusal(node, response);
      for await (const event of parsed(response.body)) {
        failures = nodes.urls.indexOf(node);
        lastEventId = event.id ?? lastEventId;
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof StepError && error.status !== null && error.status < 500 && error.status !== 429) throw error;
    } finally {
      // Also when the reader leaves: the connection is not kept for nobody.
      control.abort();
      signal?.removeEventListener("abort", abort);
    }
    failures += 1;
    await nodes.sleep(nodes.pauseMs(Math.floor(failures / nodes.urls.length)), signal);
  }
}

/** @param {ReadableStream<Uint8Array>} body @returns {AsyncGenerator<import("../step-client.js").FeedEvent>} */
async function* parsed(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  /** @type {Record<string, string>} */
  let fields = {};
  let data = /** @type {string[]} */ ([]);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { id: fields.id, kind: fields.event ?? "message", data: JSON.parse(data.join("\n")) };
        fields = {};
        data = [];
      } else {
        const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (name === "data") data.push(text);
        else fields[name] = text;
      }
    }
  }
}

/** @param {string} node @param {Response} response */
async function refusal(node, response) {
  const { code, message, details } = await response.json().catch(() => ({}));
  return new StepError(code ?? "NO_ANSWER", message ?? `${node} is not a STEP node`, { details, node, status: response.status });
}
