// One triangle of the mesh: where it is, how it stands, what is inside it, and the proofs in it.
import { centroid, parseTriangle, triangleInteger, triangleText } from "step-client";
import { useState } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { addressParts, lookingAt } from "../../globe/camera.ts";
import { metres } from "../../shell/explained.ts";
import { useEvents } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { lazy } from "../../shell/lazy.tsx";
import { useAnswer } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { Triangle, TriangleProof, TriangleProofs } from "./answers.ts";
import { Descendants } from "./descendants.tsx";
import { sideM } from "./flat.ts";
import { More } from "./more.tsx";
import { useListing } from "./pages.ts";
import { Card, Facts, Heading, Malformed, Step } from "./parts.tsx";
import { Picture } from "./picture.tsx";

const Plausibility = lazy(() => import("../plausibility/plausibility.tsx"), { isVital: false });

const SIDES_SEEN = 2.5;
const PHONE = { width: 360, height: 360 };

export function TrianglePage({ text }: { text: string }) {
  const id = named(text);
  return id === null ? <Malformed /> : <Known id={id} />;
}

function Known({ id }: { id: string }) {
  const asked = useAnswer<Triangle>(`/triangle/${id}`);
  const [round, setRound] = useState(0);
  useEvents(["proof_finalised"], ({ kind, data }) => {
    if (kind !== "gap" && (data as { triangleId: string }).triangleId !== id) return;
    asked.again();
    setRound((before) => before + 1);
  });
  const listing = useListing<TriangleProofs>(`/triangle/${id}/proofs`, round);
  const proofs = listing.pages.flatMap((page) => page.proofs);
  const { level } = parseTriangle(id);
  const seeded = useAnswer<{ SEEDED_LEVEL: number }>("/proof/config").answer?.SEEDED_LEVEL ?? 0;
  const triangle = asked.answer;
  const isToCome = asked.error?.code === "TRIANGLE_NOT_FOUND";
  const [lon, lat] = centroid(id);
  return (
    <>
      <Heading title={say(explorer.triangle)} />
      <p><Id text={id} whole copies /></p>
      <div class="picture-and-facts">
        <Picture id={id} level={level} state={triangle?.state} proofs={proofs} />
        <div class="card">
          {isToCome && <p role="status">{say(explorer.notYet)}</p>}
          {asked.error && !isToCome && <Notice error={asked.error} again={asked.again} />}
          <Facts
            of={[
              [say(explorer.level), level],
              triangle && [say(explorer.state), <span class={`state ${triangle.state}`}>{say(explorer[triangle.state])}</span>],
              triangle && [say(explorer.clicks), triangle.clicks],
              triangle && triangle.state === "active" && [say(explorer.reward), <Step amount={triangle.reward} />],
              [say(explorer.side), say(explorer.away, { length: metres(sideM(id)) })],
              [say(explorer.middle), <>{lat.toFixed(6)}, {lon.toFixed(6)} · <a href={onTheMap(id, lat, lon)}>{say(explorer.onTheMap)}</a></>],
              [say(explorer.integerForm), <Id text={String(triangleInteger(id))} copies />],
              [say(explorer.parent), <Parent id={id} />],
            ]}
          />
        </div>
      </div>
      <Card title={say(explorer.children)}>
        <Descendants of={id} areThere={triangle?.state === "subdivided" || level < seeded} />
      </Card>
      <Plausibility kind="triangles" id={id} />
      <Card title={say(explorer.proofsHere)}>
        {proofs.length > 0 && <ProofTable proofs={proofs} />}
        {proofs.length === 0 && !listing.isAsking && !listing.error && <p class="quiet">{say(explorer.nothingIn)}</p>}
        <More of={listing} />
      </Card>
    </>
  );
}

/** The map, near enough to see the triangle with some of what is around it, and chosen. */
function onTheMap(id: string, lat: number, lon: number): string {
  const camera = lookingAt({ lat, lon }, sideM(id) * SIDES_SEEN, PHONE);
  return `${link("map", ...addressParts(camera))}?triangle=${encodeURIComponent(id)}`;
}

function Parent({ id }: { id: string }) {
  const { face, level, digits } = parseTriangle(id);
  if (level === 1) return <>–</>;
  const parent = triangleText({ face, level: level - 1, digits: digits.slice(0, -1) });
  return <Id text={parent} to={link("triangle", parent)} />;
}

function ProofTable({ proofs }: { proofs: readonly TriangleProof[] }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col" class="number">{say(explorer.click)}</th>
          <th scope="col">{say(explorer.time)}</th>
          <th scope="col">{say(explorer.account)}</th>
          <th scope="col" class="wide-only">{say(explorer.proof)}</th>
          <th scope="col" class="number wide-only">{say(explorer.reward)}</th>
          <th scope="col" class="wide-only">{say(explorer.nonce)}</th>
        </tr>
      </thead>
      <tbody>
        {proofs.map((proof) => (
          <tr key={proof.proofId}>
            <td class="number"><a href={link("proof", proof.proofId)} aria-label={say(explorer.proofOfClick, { click: proof.clicks })}>{proof.clicks}</a></td>
            <td><When at={proof.processedAt} /></td>
            <td><Id text={proof.account} to={link("account", proof.account)} /></td>
            <td class="wide-only"><Id text={proof.proofId} to={link("proof", proof.proofId)} /></td>
            <td class="number wide-only"><Step amount={proof.reward} /></td>
            <td class="mono wide-only">{proof.nonce}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Its one text form, of either form; null where the address names none. */
function named(text: string): string | null {
  try {
    return triangleText(parseTriangle(text));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
