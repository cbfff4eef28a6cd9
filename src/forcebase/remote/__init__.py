"""jobflow-remote: its project for a database, submission of flows, and what its queue knows."""
