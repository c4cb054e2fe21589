"""The admin socket of a running node."""
