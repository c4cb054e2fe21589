"""The mesh as a collection for displays: every triangle of the upper levels, in a database of its own."""
