"""A chain executed again from its batches, and held against what somebody says of it."""
