"""What a node says of itself, as plain values: itself, its consensus, its health."""
