"""Whether a network that runs for hours grows: what is measured on each node, and by how much it grows a minute."""
