"""What is read is data: the one place each for limits, YAML, JSON, names, paths and text."""
