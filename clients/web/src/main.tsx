import { render } from "preact";
import { goOn } from "./proving/begin.ts";
import { Shell } from "./shell/shell.tsx";
import "./shell/theme.css";
import "./views/prove/prove.css";
import "./globe/globe.css";
import "./views/wallet/wallet.css";
import "./views/receipt/receipt.css";

render(<Shell />, document.getElementById("app")!);

// What an earlier visit has signed goes on, once this page is there.
const GO_ON_AFTER_MS = 1_000;
addEventListener("load", () => setTimeout(() => void goOn(), GO_ON_AFTER_MS));
