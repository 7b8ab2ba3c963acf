"""Scores, and what the scores are compared with."""
