"""Snapshots of the state: taking, encoding, verifying (docs/adr/0012-snapshots.md)."""
