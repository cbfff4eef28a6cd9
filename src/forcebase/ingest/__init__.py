"""Bringing things in: job outputs and foreign files become records, once per digest."""
