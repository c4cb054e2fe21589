"""Batches of proofs: what consensus agrees on, opaque to `consensus` itself (protocol.md §4)."""
