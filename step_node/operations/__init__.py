"""Validator operations: what a stake's owner signs to register, leave, withdraw or change (protocol.md §4)."""
