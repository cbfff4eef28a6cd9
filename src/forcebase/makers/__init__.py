"""jobflow Makers: dataclasses whose jobs are pure functions that return plain data."""
