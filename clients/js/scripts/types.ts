// Checked by `npm run check`, never run: what src/ exports is what index.d.ts declares.
import type * as Declared from "../step-client.js";
import * as client from "../src/client.js";
import * as codes from "../src/codes.js";
import * as errors from "../src/errors.js";
import * as mesh from "../src/mesh.js";
import * as position from "../src/position.js";
import * as proof from "../src/proof.js";
import * as reader from "../src/reader.js";
import * as receipts from "../src/receipts.js";
import * as transfers from "../src/transfers.js";
import * as triangle from "../src/triangle.js";

export const exported: typeof Declared = { ...client, ...codes, ...errors, ...mesh, ...position, ...proof, ...reader, ...receipts, ...transfers, ...triangle };
