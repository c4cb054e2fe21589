"""Curves of cost: what a network reaches as one thing grows, measured, kept as JSON, and drawn (docs/benchmarks.md).

`measuring` makes points, `points` is their form on disk, and `figures` draws them, from the file alone.
"""
