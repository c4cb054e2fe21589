"""Settings for every test."""

from hypothesis import settings

# How long an example takes depends on the machine, not on the code; and a failure must be the same everywhere.
settings.register_profile("step", parent=settings(), deadline=None, derandomize=True)
settings.load_profile("step")
