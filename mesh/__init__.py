"""The triangle mesh: ids, exact location, display geometry. Pure (protocol.md §1)."""
