"""A key in a process of its own, and the node that asks it for signatures."""
