// What `GET /fairness`, `GET /fairness/{epoch}` and `GET /fairness/{epoch}/drift` say (docs/http-api.md). Shares and coefficients are parts per million.

export interface Drift {
  comparedEpochs: number;
  incomeGiniPpm: number | null;
  incomeTopSharePpm: number | null;
}

export interface Headline {
  epoch: number;
  ends: string;
  proofs: number;
  accounts: number;
  paid: string;
  incomeGiniPpm: number | null;
  incomeTopSharePpm: number | null;
  balancesGiniPpm: number | null;
  newcomersSharePpm: number | null;
  drift: Drift | null;
}

export interface FairnessList {
  epochs: readonly Headline[];
  nextCursor: string | null;
  epochBatches: number;
  runningEpoch: number;
  runningEndsAt: number;
}

export interface Part {
  proofs: number;
  paid: string;
  sharePpm: number | null;
}

export interface AccountsPart extends Part {
  accounts: number;
}

export interface Tier extends AccountsPart {
  fromBalance: string;
  belowBalance: string | null;
}

export interface Concentration {
  giniPpm: number | null;
  topAccounts: number;
  topSharePpm: number | null;
}

export interface Member {
  validator: string;
  stakeSharePpm: number | null;
  batches: number;
  absences: number;
  rewards: string;
  rewardsSharePpm: number | null;
}

export interface Report {
  epoch: number;
  firstHeight: number;
  lastHeight: number;
  begins: string;
  ends: string;
  proofs: number;
  accounts: number;
  paid: string;
  income: Concentration;
  balances: Concentration;
  newcomers: AccountsPart;
  others: AccountsPart;
  tiers: readonly Tier[];
  levels: readonly (Part & { level: number })[];
  regions: readonly (Part & { triangleId: string })[];
  validators: {
    stakeNakamoto: number | null;
    votesNakamoto: number | null;
    members: readonly Member[];
  };
}
