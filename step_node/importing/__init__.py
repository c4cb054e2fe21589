"""The database of a single-server STEP as the initial state of a chain (docs/import.md, ADR 54)."""
