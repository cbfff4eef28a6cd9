"""Imported after all else: the collector of garbage leaves what is there alone, in forks too."""

import gc

gc.collect()
gc.freeze()
