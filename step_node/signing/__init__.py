"""The node's keys, and the guard that keeps a validator from contradicting itself."""
