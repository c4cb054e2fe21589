"""The live feed: who follows it, from where, and the text that all of them are sent."""
