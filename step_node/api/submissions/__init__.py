"""Submissions of proofs, one or many: read strictly, and answered."""
