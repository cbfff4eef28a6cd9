"""Which labelled structures make a dataset, and why: frames in, members and drops out."""
