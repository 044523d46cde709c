"""Artifacts on disk: where they are, what they say, and what is wrong with them. Read only, and nothing is executed."""
