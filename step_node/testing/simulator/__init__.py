"""Whole nodes in a made-up world, where one seed is one history, to the last bit. Its page is docs/simulator.md."""
