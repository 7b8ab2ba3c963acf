"""Packets to a file, with everything else that the source held."""
