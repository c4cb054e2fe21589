"""The benchmark suite: what a node reaches, beside the limit that is measured in the same run (docs/benchmarks.md)."""
