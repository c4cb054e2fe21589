"""The routes, by subject; those of the mesh are in `api.mesh`."""
