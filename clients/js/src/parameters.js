// The protocol's parameters (docs/protocol.md §4), for a genesis file that leaves some out; and what a chain may be called.

export const CHAIN_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const PARAMETERS = {
  gps_max_accuracy_m: 50,
  clock_drift_ms: 120000,
  proof_max_age_ms: 300000,
  speed_limit_mps: 15,
  speed_horizon_ms: 3600000,
  moratorium_ms: 10000,
  seeded_level: 10,
  batch_interval_ms: 1000,
  batch_target_proofs: 100,
  batch_max_proofs: 1000,
  batch_ahead_ms: 5000,
  timeout_propose_ms: 5000,
  timeout_pre_vote_ms: 3000,
  timeout_pre_commit_ms: 2000,
  timeout_delta_ms: 500,
  validator_reward_bps: 500,
  epoch_batches: 1000,
  min_stake: 100000,
  unbonding_ms: 604800000,
  slash_double_sign_bps: 5000,
  slash_invalid_bps: 3000,
  slash_offline_bps: 1000,
  offline_ms: 86400000,
  jail_ms: 2592000000,
};
