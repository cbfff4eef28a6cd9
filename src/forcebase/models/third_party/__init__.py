"""Models of other packages: in this process, or in an environment of their own."""
