"""What tests of several packages share: real proofs, real chains in memory, a clock that stands still."""
