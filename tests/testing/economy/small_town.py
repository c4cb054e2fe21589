"""A scenario as people write it: the least that one needs, which tests put more before and behind."""

SMALL_TOWN = """
title = "a few people for four days"
days = 4
[[cities]]
name = "town"
lat = 47.0
lon = 19.0
radius_km = 1.0
[[groups]]
kind = "walkers"
name = "people"
city = "town"
accounts = 12
proofs_per_day = 5.0
"""
"""What is put before it is of the whole scenario; what is put behind, of its group, or tables."""
