"""An open-loop load of signed proofs, and what a network makes of it (docs/benchmarks.md)."""
