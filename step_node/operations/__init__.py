"""Validator operations: what a stake's owner signs to register, leave, withdraw, or replace a key (protocol.md §4)."""
