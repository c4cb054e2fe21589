"""Backups: made of a running node, verified without one, restored into either engine (docs/backup.md, ADR 46)."""
