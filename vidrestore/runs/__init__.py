"""A restoration from first to last, kept safe while it lasts."""
