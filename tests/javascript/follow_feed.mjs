// Run by test_feed_clients.py: says what the live feed of these nodes tells, until its standard input ends.
import { StepClient } from "../../clients/js/step-client.js";

const [filters, lastEventId, ...urls] = process.argv.slice(2);
const leaving = new AbortController();
process.stdin.resume().once("end", () => leaving.abort());

try {
  for await (const event of new StepClient(urls).events(JSON.parse(filters), { lastEventId, signal: leaving.signal })) {
    console.log(JSON.stringify(event));
  }
} catch (error) {
  if (!leaving.signal.aborted) throw error;
}
