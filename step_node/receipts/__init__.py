"""Receipts: what a finalised batch did for a proof or an operation, shown to whoever has the genesis file (ADR 34)."""
