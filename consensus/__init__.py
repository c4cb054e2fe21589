"""PoLC-BFT as a pure state machine: no I/O, no clock, no randomness, no trio (protocol.md §4)."""
