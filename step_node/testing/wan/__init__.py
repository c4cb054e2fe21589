"""Whole nodes far apart, in simulated time: what each does costs time of its processor, and each byte time of its line.

Its page is docs/simulator.md, section "Far apart"; what it is for, docs/benchmarks.md, row `wan`.
"""
