// The live feed (docs/events.md): Server-Sent Events by fetch, gone on with on whichever node is there. A stream that has
// told something ended for a reason of its own; one that has told nothing counts as an attempt in vain.
import { StepError } from "./errors.js";
import { judge, linked, parsed, Undecided } from "./nodes.js";

const EVENT_CHARACTERS_MAX = 1_000_000;
const SILENCE_MS_MAX = 45_000; // Three of a node's heartbeats: the stream is dead.
const OF_THE_STREAM = ["open", "end"]; // Of one stream's begin and end nobody is told: following goes on over them.

/** @param {import("./nodes.js").Nodes} nodes @param {string} path
 * @param {{lastEventId?: string, signal?: AbortSignal, onLink?: (isOpen: boolean) => void}} options
 * @returns {AsyncGenerator<import("../step-client.js").FeedEvent>} */
export async function* eventStream(nodes, path, { lastEventId = "", signal, onLink = () => undefined }) {
  const stream = { id: lastEventId, retryMs: 0 };
  /** @type {StepError[]} */
  let failures = [];
  for (;;) {
    const { index, restMs } = nodes.choose();
    if (restMs > 0) await nodes.sleep(restMs, signal);
    const node = nodes.urls[index];
    const link = linked(signal);
    let ended = new Undecided(new StepError("NO_ANSWER", "the stream has ended", { node }), 0);
    try {
      const opened = await open(nodes, node, path, stream.id, link.signal);
      if (opened instanceof Undecided) {
        ended = opened;
      } else {
        onLink(true);
        for await (const event of events(opened, stream, link.abort)) {
          failures = [];
          nodes.prefer(index);
          if (!OF_THE_STREAM.includes(event.kind)) yield event;
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof StepError) throw error; // Refused for good, or unreadable.
      ended = new Undecided(new StepError("NO_ANSWER", String(error), { node }), 0);
    } finally {
      link.abort(); // Also when the reader leaves the loop: nothing is kept open for nobody.
      link.unlink();
    }
    onLink(false);
    failures.push(ended.error);
    if (failures.length >= nodes.policy.attemptsMax) {
      const { code, message } = ended.error;
      throw new StepError(code, `GET ${path}: no node gives the feed; the last said: ${message}`, { attempts: failures });
    }
    nodes.rest(index, Math.max(nodes.pauseMs(failures.length - 1), ended.afterMs, stream.retryMs));
  }
}

/** @type {(nodes: import("./nodes.js").Nodes, node: string, path: string, id: string, signal: AbortSignal) =>
 *   Promise<ReadableStream<Uint8Array> | Undecided>} */
async function open(nodes, node, path, id, signal) {
  const headers = { accept: "text/event-stream", ...(id && { "last-event-id": id }) };
  const response = await nodes.fetch(node + path, { headers, signal });
  if (response.ok && response.body) return response.body;
  const text = await response.text();
  const outcome = judge(node, response, parsed(text), text);
  return outcome instanceof Undecided ? outcome : new Undecided(new StepError("NO_ANSWER", "no stream", { node }), 0);
}

/** The events of one stream, as the HTML standard takes them apart (section 9.2.6). An id counts once its event is whole:
 * a stream that breaks off within an event is gone on with before it.
 * @param {ReadableStream<Uint8Array>} body @param {{id: string, retryMs: number}} stream @param {() => void} abort
 * @returns {AsyncGenerator<import("../step-client.js").FeedEvent>} */
async function* events(body, stream, abort) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let { id } = stream;
  let kind = "";
  let data = "";
  for (;;) {
    const timer = setTimeout(abort, SILENCE_MS_MAX);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const colon = `${line}:`.indexOf(":");
      const text = line.slice(colon + 1).replace(/^ /, "");
      const name = line.slice(0, colon);
      if (name === "data") data += `${text}\n`;
      else if (name === "event") kind = text;
      else if (name === "id") id = text;
      else if (name === "retry" && /^\d+$/.test(text)) stream.retryMs = Number(text);
      else if (line === "") {
        stream.id = id;
        if (data !== "") yield { kind: kind || "message", id, data: document(data) };
        kind = data = "";
      }
    }
    if (rest.length + data.length > EVENT_CHARACTERS_MAX) {
      throw new StepError("UNREADABLE_ANSWER", `an event has more than ${EVENT_CHARACTERS_MAX} characters`);
    }
  }
}

/** @param {string} data */
function document(data) {
  const told = parsed(data);
  if (told === undefined) throw new StepError("UNREADABLE_ANSWER", "an event's data are not JSON");
  return told;
}
