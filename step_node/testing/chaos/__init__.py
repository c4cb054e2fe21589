"""Chaos: a devnet of real processes under a constant load, things done to it, and what must hold afterwards.

A scenario is data (`scenarios/*.toml`, `scenario.py`); `run.py` plays one, `docs/chaos.md` is the page about it.
"""
