// The explorer: what is final on the chain, each thing at an address of its own.
import { explorer } from "../../texts/explorer.ts";
import { lazy } from "../../shell/lazy.tsx";
import { link, type Place } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { AccountPage } from "./account.tsx";
import { BatchPage } from "./batch.tsx";
import { Home } from "./home.tsx";
import { OperationPage } from "./operation.tsx";
import { isAddress, isId, Malformed } from "./parts.tsx";
import { ProofPage } from "./proof.tsx";
import { Search } from "./search.tsx";
import { SearchBox } from "./search-box.tsx";
import { TrianglePage } from "./triangle.tsx";
import { ValidatorPage } from "./validator.tsx";
import { ValidatorsPage } from "./validators.tsx";

const Fairness = lazy(() => import("../fairness/fairness.tsx"));

export default function Explorer({ place }: { place: Place }) {
  const text = place.query.get("for") ?? "";
  return (
    <div class="explorer">
      <div class="explorer-top">
        <SearchBox text={text} />
        <nav aria-label={say(explorer.sections)}>
          <a href={link("explorer")} aria-current={place.parts[0] === "explorer" ? "page" : undefined}>{say(explorer.overview)}</a>
          <a href={link("validators")} aria-current={place.parts[0] === "validators" ? "page" : undefined}>{say(explorer.validators)}</a>
          <a href={link("fairness")} aria-current={place.parts[0] === "fairness" ? "page" : undefined}>{say(explorer.fairness)}</a>
        </nav>
      </div>
      <PageOf place={place} text={text} />
    </div>
  );
}

function PageOf({ place, text }: { place: Place; text: string }) {
  const [kind, of] = place.parts;
  switch (kind) {
    case "explorer":
      return <Home />;
    case "search":
      return <Search text={text} />;
    case "batch":
      return isHeight(of) ? <BatchPage key={of} height={Number(of)} /> : <Malformed />;
    case "proof":
      return isId(of) ? <ProofPage key={of} id={of.toLowerCase()} /> : <Malformed />;
    case "operation":
      return isId(of) ? <OperationPage key={of} id={of.toLowerCase()} /> : <Malformed />;
    case "account":
      return isAddress(of) ? <AccountPage key={of} address={of.toLowerCase()} /> : <Malformed />;
    case "triangle":
      return of ? <TrianglePage key={of} text={of} /> : <Malformed />;
    case "fairness":
      return of === undefined ? <Fairness epoch={null} /> : isHeight(of) ? <Fairness epoch={Number(of)} /> : <Malformed />;
    case "validators":
      return <ValidatorsPage />;
    case "validator":
      return isAddress(of) ? <ValidatorPage key={of} address={of.toLowerCase()} /> : <Malformed />;
    default:
      return <Malformed />;
  }
}

function isHeight(text: string | undefined): text is string {
  return text !== undefined && /^[1-9]\d{0,14}$/.test(text);
}
