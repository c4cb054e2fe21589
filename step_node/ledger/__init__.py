"""The ledger: rewards, triangles, the state root. Pure: (state, batch) → (state', receipts) (protocol.md §3)."""
