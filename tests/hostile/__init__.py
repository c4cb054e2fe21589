"""Attacks on networks of real processes: `make hostile`."""
