// Run by test_browser.py: open a page in headless Chromium, at a place, press its button, and tell what it says in the end.
// Chromium is driven by its DevTools protocol, over the WebSocket that Node has of its own.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [chromium, folder, page, until] = process.argv.slice(2);
const browser = spawn(
  chromium,
  [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    `--user-data-dir=${folder}`,
    "about:blank",
  ],
  { stdio: ["ignore", "ignore", "pipe"] },
);
process.on("exit", () => browser.kill("SIGKILL"));

const said = [];
const address = await new Promise((resolve, reject) => {
  createInterface(browser.stderr).on("line", (line) => {
    said.push(line);
    const [, found] = /^DevTools listening on (ws:.+)$/.exec(line) ?? [];
    if (found) resolve(found);
  });
  browser.once("exit", (status) => reject(new Error(`Chromium ended with ${status}: ${said.join("\n")}`)));
});

const socket = new WebSocket(address);
await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
const waiting = new Map();
const events = [];
socket.onmessage = ({ data }) => {
  const { id, result, error, method, params } = JSON.parse(data);
  if (method) events.push({ method, params });
  else if (error) waiting.get(id).reject(new Error(JSON.stringify(error)));
  else waiting.get(id).resolve(result);
};
const call = (method, params = {}, sessionId = undefined) =>
  new Promise((resolve, reject) => {
    waiting.set(waiting.size, { resolve, reject });
    socket.send(JSON.stringify({ id: waiting.size - 1, method, params, sessionId }));
  });

const { targetId } = await call("Target.createTarget", { url: "about:blank" });
const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
await call("Browser.grantPermissions", { origin: new URL(page).origin, permissions: ["geolocation"] });
const place = { latitude: 47.37690001, longitude: 8.54169999, accuracy: 5 };
await call("Emulation.setGeolocationOverride", place, sessionId);
await call("Page.enable", {}, sessionId);
await call("Network.enable", {}, sessionId);
await call("Page.navigate", { url: page }, sessionId);

// In the page: press the button when it can be pressed, and wait until the text says what is waited for, or an error.
const follow = `new Promise((resolve) => {
  const look = () => {
    const [button, said] = [document.getElementById("prove"), document.getElementById("said")];
    if (button && !button.disabled && !button.pressed) { button.pressed = true; button.click(); }
    if (said && /${until}|^[A-Z_]+: /m.test(said.textContent)) {
      resolve({ text: said.textContent, shapes: document.querySelectorAll("polygon").length });
    } else setTimeout(look, 50);
  };
  look();
})`;
let answer;
while (answer === undefined) {
  // A page that is still loading takes its promise with it.
  answer = await call("Runtime.evaluate", { expression: follow, awaitPromise: true, returnByValue: true }, sessionId).catch(
    (error) => (/context|navigat/i.test(error.message) ? undefined : Promise.reject(error)),
  );
}
const asked = events.filter(({ method }) => method === "Network.requestWillBeSent").map(({ params }) => params.request.url);
console.log(JSON.stringify({ ...answer.result.value, asked }));
process.exit(0);
