"""Where the pure consensus machine meets the node: its log, its driver, its messages on the wire."""
