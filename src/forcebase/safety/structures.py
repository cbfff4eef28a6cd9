"""Structures of documents as plain data: pymatgen's own reader imports what their properties name.

`Structure.from_dict` gives site properties to monty's decoder, which imports any installed module
that an `@module` in them names. Here a structure is made of lattice, species and places alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from pymatgen.core import Lattice, PeriodicSite, Structure

from forcebase.errors import InputError
from forcebase.safety.limits import ATOMS


def plain_structure(given: Any) -> Structure:
    """A pymatgen Structure of a document's, or the one that is given; properties stay behind.

    Raises:
        InputError: it is not a structure of whole atoms of known elements.
    """
    if isinstance(given, Structure):
        return given
    try:
        sites = list(given["sites"])
        ATOMS.check(len(sites), "a structure")
        pbc = [bool(flag) for flag in given["lattice"].get("pbc") or (True, True, True)]
        matrix = np.array(given["lattice"]["matrix"], dtype=float).reshape(3, 3)
        lattice = Lattice(matrix, pbc=(pbc[0], pbc[1], pbc[2]))
        places = np.array([site["abc"] for site in sites], dtype=float).reshape(-1, 3)
        return Structure.from_sites(
            [
                PeriodicSite(_symbol(site), place, lattice)
                for site, place in zip(sites, places, strict=True)
            ]
        )
    except InputError:
        raise
    except Exception as error:  # whatever stands where a structure is meant
        words = f"{type(error).__name__}: {error}"
        raise InputError(f"a structure cannot be read: {words[:200]}") from None


def _symbol(site: Mapping[str, Any]) -> str:
    """The element of a site.

    Raises:
        InputError: it is shared or partly filled, or of no known element.
    """
    kinds = site["species"]
    if len(kinds) != 1 or abs(float(kinds[0]["occu"]) - 1) > 1e-8:
        raise InputError("a site of the structure is shared by elements, or partly filled.")
    symbol = kinds[0]["element"]
    if not isinstance(symbol, str) or atomic_numbers.get(symbol, 0) < 1:
        raise InputError(
            f"a site of the structure is of {str(symbol)[:20]!r}, which is not an element."
        )
    return symbol
