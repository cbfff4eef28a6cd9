"""Reports: what was computed, as figures and one self-contained page."""
