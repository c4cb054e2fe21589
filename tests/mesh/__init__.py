"""What the mesh package promises."""
