"""Missing frames, cuts, and what is broken in time."""
