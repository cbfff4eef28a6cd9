"""Output files of DFT codes, one reader a code; ASE, pymatgen and GPAW do the parsing."""
