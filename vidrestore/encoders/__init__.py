"""Frames to packets: which encoder, and how."""
