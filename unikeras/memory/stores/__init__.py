"""Where sessions keep their states: in the process, in a SQLite file, on a Redis server."""
