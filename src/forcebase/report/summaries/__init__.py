"""Records as a person reads them, one module for each kind."""
