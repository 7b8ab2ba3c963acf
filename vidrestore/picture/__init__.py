"""Planes and RGB, fields, noise, and what a frame must not lose."""
