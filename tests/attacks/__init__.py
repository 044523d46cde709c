"""Attacks on what reads files of other people: made here, run in children with limits, and answered by findings."""
