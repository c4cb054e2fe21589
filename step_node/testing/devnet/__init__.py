"""A whole network on one machine: real node processes on loopback, and simulated walkers who use it.

The command `step-node devnet` is a thin layer over this package, and the integration tests drive it too.
"""
