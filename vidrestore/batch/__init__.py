"""Many files: found, restored by processes that stay loaded, remembered, and accounted for."""
