"""What is in a file, and its frames as they are."""
