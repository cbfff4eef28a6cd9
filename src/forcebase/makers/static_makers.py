"""Static makers by name: forcebase's own and those of installed packages."""

from __future__ import annotations

from typing import Any

from jobflow import Maker

from forcebase.errors import InputError
from forcebase.plugins import Group, load, package_of

GPAW = "gpaw"


def static_maker(chosen: Maker | str = GPAW, **settings: Any) -> Maker:
    """Give a maker whose `make` takes a pymatgen structure and labels it in a job.

    Args:
        chosen: a maker, which is given as it is; or the name of one that a package registered.
        settings: arguments of the maker of that name.

    Raises:
        InputError: there is none of this name, or it refuses the settings.
    """
    if isinstance(chosen, Maker):
        return chosen
    kind = load(Group.STATIC_MAKERS, chosen)
    try:
        made = kind(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The static maker {chosen!r} does not take these settings: {error}.",
            hint="Leave them out, or give others.",
        ) from None
    if not isinstance(made, Maker):
        raise InputError(
            f"The static maker {chosen!r} of {package_of(Group.STATIC_MAKERS, chosen)} is not a "
            "Maker of jobflow.",
            hint="Repair or remove that package.",
        )
    return made
