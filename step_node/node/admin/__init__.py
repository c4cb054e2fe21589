"""The operator's socket of a running node: commands by a file in the home, and the record of them."""
