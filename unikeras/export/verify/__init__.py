"""Whether an artifact is what was asked for: compared, tried in a child process, and known by its digest."""
