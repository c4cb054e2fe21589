"""Property tests here have no deadline: how long an example takes depends on the machine, not on the mesh."""

from hypothesis import settings

settings.register_profile("without-deadline", parent=settings(), deadline=None)
settings.load_profile("without-deadline")
