// The live view and the map: one globe, with the network beside it. `#/map/LAT/LON/ZOOM` is the same page at a place, and
// `?triangle=ID` opens a triangle.
import { useEffect, useRef, useState } from "preact/hooks";
import { useEvents } from "../../shell/feed.ts";
import { useAnswer } from "../../shell/node.ts";
import { lazy } from "../../shell/lazy.tsx";
import { link, type Place } from "../../shell/router.ts";
import { withStyles } from "../../shell/styles.ts";
import { say } from "../../shell/texts.ts";
import { globe } from "../../texts/globe.ts";
import { useAccount } from "../../wallet/accounts.ts";
import { addressParts, cameraOf, lookingAt, metresPerPx, spotOf, type Camera, type Size, type Spot } from "../../globe/camera.ts";
import { GlobeButton, GlobeCanvas } from "../../globe/canvas.tsx";
import { length } from "../../globe/lengths.ts";
import { cornersOf } from "../../globe/lights.ts";
import { middle, type Corners } from "../../globe/mesh.ts";
import type { Standing } from "../../globe/scene.ts";
import type { Stage } from "../../globe/stage.ts";
import { roundLengthM } from "../../globe/round-length.ts";
import { clicked, nearbyQuery, standings, type NearbyResult } from "../../globe/standing.ts";
import { whereabouts, type Whereabouts } from "../../globe/whereabouts.ts";
import { HAPPENINGS, HappenedCard } from "./happened.tsx";
import { NearbyCard } from "./nearby.tsx";
import { NetworkCard } from "./network.tsx";
import { sideM, TrianglePanel } from "./panel.tsx";
import type { Region } from "../../globe/trends.ts";
import { VotesCard } from "./votes.tsx";

const TrendingCard = lazy(withStyles(() => import("./trending.tsx")));
const Plausibility = lazy(withStyles(() => import("../plausibility/plausibility.tsx")), { isVital: false });

const START_LAT = 25;
const MINUTES_PER_DEGREE = 4;
/** Before the chain's own rules are here. */
const RULES = { SEEDED_LEVEL: 10, SUBDIVISION_CLICKS: 11 };
const NEARBY_MS = 30_000;
const OWN_PROOFS = { limit: 100 };
/** A triangle that is looked at fills a part of the view. */
const LOOK_SIDES = 3;
const HERE_ACROSS_M = 30_000;
/** Whose data a base map shows; its licence wants that said. A link, asked for by nobody but who follows it. */
const OPEN_STREET_MAP = "https://www.openstreetmap.org/copyright";
const SCALE_PX_MAX = 150;

/** The part of the Earth whose clocks go like this device's. */
function startSpot(): Spot {
  return { lat: START_LAT, lon: -new Date().getTimezoneOffset() / MINUTES_PER_DEGREE };
}

export default function GlobeView({ place }: { place: Place }) {
  const stage = useRef<Stage | null>(null);
  const [view, setView] = useState<{ camera: Camera; size: Size } | null>(null);
  const [spot, setSpot] = useState<Spot | null>(() => spotOfTriangle(place.query.get("triangle")));
  const [chosen, setChosen] = useState<Standing | null>(null);
  const [here, setHere] = useState<Whereabouts | { state: "looking" } | null>(null);
  const [isMapped, setIsMapped] = useState(false);
  const [trending, setTrending] = useState<readonly Region[] | null>(null);
  const address = useRef(location.hash);
  const isUntouched = useRef(place.parts.length < 3 && spot === null);

  const account = useAccount()?.address ?? null;
  const rules = useAnswer<typeof RULES>("/proof/config").answer ?? RULES;
  const query = view && nearbyQuery(view.camera, view.size, rules.SEEDED_LEVEL, account);
  const nearby = useStanding(query);
  const ownProofs = useAnswer<{ proofs: Spot[] }>(account && `/account/${account}/proofs`, OWN_PROOFS);
  const own = ownProofs.answer?.proofs;

  useEvents(HAPPENINGS, ({ kind, data }) => {
    if (kind !== "proof_finalised" || !stage.current) return;
    stage.current.light(data.triangleId);
    if (data.account === account) ownProofs.again();
    if (!isUntouched.current) return;
    // The first proof is shown to whoever has not begun to look around, wherever it is.
    isUntouched.current = false;
    const corners = cornersOf(data.triangleId);
    if (corners && !stage.current.isSeen(middle(...corners))) stage.current.fly({ ...stage.current.camera, ...spotOf(middle(...corners)) });
  });

  useEffect(() => {
    stage.current?.show({
      triangles: nearby.triangles,
      clicksMax: rules.SUBDIVISION_CLICKS,
      chosen: chosen?.corners ?? null,
      trending: trending ?? [],
      here: here?.state === "found" ? here.here : null,
      own: own ?? [],
    });
  }, [nearby.triangles, rules, chosen, trending, here, own, view === null]);

  // Somebody followed a link, or wrote an address: it is not the one that this page wrote itself.
  useEffect(() => {
    if (location.hash === address.current) return;
    address.current = location.hash;
    const triangle = spotOfTriangle(place.query.get("triangle"));
    const target = stage.current && cameraAt(place, stage.current.size);
    setSpot(triangle);
    if (!triangle) setChosen(null);
    if (target) stage.current?.fly(target);
  }, [place]);

  // The address follows what is seen, so that it can be shared; it is no step that "back" would undo.
  useEffect(() => {
    if (!view || (isUntouched.current && !chosen)) return;
    const written = `${link("map", ...addressParts(view.camera))}${chosen ? `?triangle=${encodeURIComponent(chosen.triangleId)}` : ""}`;
    if (written === location.hash) return;
    address.current = written;
    history.replaceState(history.state, "", written);
  }, [view, chosen]);

  const look = (triangle: Standing) => {
    const size = stage.current!.size;
    stage.current!.fly(lookingAt(spotOf(middle(...triangle.corners)), sideM(triangle.corners) * LOOK_SIDES, size));
  };
  const findMe = async () => {
    setHere({ state: "looking" });
    const found = await whereabouts();
    setHere(found);
    if (found.state === "found" && stage.current) {
      isUntouched.current = false;
      stage.current.fly(lookingAt(found.here, Math.max(HERE_ACROSS_M, found.here.accuracyM * 4), stage.current.size));
    }
  };
  const show = (triangleId: string) => {
    const corners = cornersOf(triangleId);
    if (!corners || !stage.current) return;
    isUntouched.current = false;
    stage.current.fly(lookingAt(spotOf(middle(...corners)), sideM(corners) * LOOK_SIDES * 2, stage.current.size));
    setSpot(spotOf(middle(...corners)));
  };
  const begun = (made: Stage | null) => {
    stage.current = made;
    if (made) Object.assign(made, { camera: cameraAt(place, made.size) ?? made.camera });
  };

  return (
    <div class="globe-page">
      <h1 class="unseen">{say(globe.globe)}</h1>
      <div class="globe-first">
        <GlobeCanvas
          camera={{ ...startSpot(), zoom: 0 }}
          onStage={begun}
          settled={(camera, size, byHand) => {
            if (byHand) isUntouched.current = false;
            setView({ camera, size });
          }}
          tapped={(tapped, lit) => {
            const corners = lit === null ? null : cornersOf(lit);
            setSpot(corners ? spotOf(middle(...corners)) : tapped);
          }}
          mapped={() => setIsMapped(true)}
          buttons={
            <>
              <GlobeButton label={say(globe.whereAmI)} path="M8 1v3M8 12v3M1 8h3M12 8h3M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 1 0 0-7" onPress={() => void findMe()} />
              <GlobeButton label={say(globe.trending)} path="M2 12l4-5 3 3 5-7M10 3h4v4" isPressed={trending !== null} onPress={() => setTrending(trending ? null : [])} />
            </>
          }
        >
          {view && <Scale camera={view.camera} />}
          {isMapped && <a class="globe-source" href={OPEN_STREET_MAP} rel="noreferrer">{say(globe.mapSource)}</a>}
        </GlobeCanvas>
        <p role="status" class="globe-status">
          {here ? <Whereabout {...here} /> : query === null && <span class="quiet">{say(globe.hint)}</span>}
        </p>
      </div>
      <div class="globe-side">
        {spot && (
          <TrianglePanel
            spot={spot}
            account={account}
            clicksMax={rules.SUBDIVISION_CLICKS}
            onFound={setChosen}
            onLook={look}
            onClose={() => {
              setSpot(null);
              setChosen(null);
            }}
          />
        )}
        {spot && chosen && <Plausibility key={chosen.triangleId} kind="triangles" id={chosen.triangleId} />}
        {trending && view && <TrendingCard {...view} spot={spot} onFound={(found) => setTrending((before) => before && found)} onShow={show} />}
        <NetworkCard />
        {query !== null && <NearbyCard triangles={nearby.triangles} isTruncated={nearby.isTruncated} hasAccount={account !== null} />}
        <HappenedCard onShow={show} />
        <VotesCard />
      </div>
    </div>
  );
}

function Whereabout(found: Whereabouts | { state: "looking" }) {
  if (found.state === "found") return <span>{say(globe.foundYou, { metres: Math.round(found.here.accuracyM) })}</span>;
  return <span class={found.state === "looking" ? "quiet" : "warn"}>{say(globe[found.state])}</span>;
}

function Scale({ camera }: { camera: Camera }) {
  const metres = roundLengthM(metresPerPx(camera.zoom) * SCALE_PX_MAX);
  return (
    <span class="globe-scale" style={{ width: `${metres / metresPerPx(camera.zoom)}px` }}>
      {length(metres)}
    </span>
  );
}

/** The triangles that the view asks for, with clicks as they come. */
function useStanding(query: Record<string, string | number> | null): { triangles: readonly Standing[]; isTruncated: boolean } {
  const { answer, again } = useAnswer<{ result: NearbyResult }>(query && "/mesh/nearby", query ?? {}, NEARBY_MS);
  const [triangles, setTriangles] = useState<readonly Standing[]>([]);
  useEffect(() => {
    if (answer) setTriangles(standings(answer.result.triangles));
    else if (query === null) setTriangles([]);
  }, [answer, query === null]);
  useEvents(HAPPENINGS, ({ kind, data }) => {
    if (kind === "proof_finalised") setTriangles((before) => clicked(before, data.triangleId, data.clicks));
    else if (triangles.some(({ triangleId }) => triangleId === data.triangleId)) again();
  });
  return { triangles, isTruncated: answer?.result.truncated ?? false };
}

/** What the address says: a place, or else a triangle to look at. */
function cameraAt({ parts, query }: Place, size: Size): Camera | null {
  const named = cameraOf(parts.slice(1), size);
  if (named) return named;
  const corners = cornersNamed(query.get("triangle"));
  return corners && lookingAt(spotOf(middle(...corners)), sideM(corners) * LOOK_SIDES, size);
}

function spotOfTriangle(triangleId: string | null): Spot | null {
  const corners = cornersNamed(triangleId);
  return corners && spotOf(middle(...corners));
}

/** Most addresses name none: that is no text to be read, which would fail, and failing is slow. */
function cornersNamed(triangleId: string | null): Corners | null {
  return triangleId === null ? null : cornersOf(triangleId);
}
