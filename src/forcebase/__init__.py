"""forcebase: any machine-learning force field against any DFT record."""
