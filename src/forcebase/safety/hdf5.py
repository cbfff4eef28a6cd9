"""What lies in an HDF5 file itself: such files can lead into others."""

from __future__ import annotations

from typing import Any

from forcebase.errors import InputError


def has_item(place: Any, name: str) -> bool:
    """Whether a name is in a file or group, without opening what a link leads to."""
    import h5py

    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            return link is not None
        place = place[part]
    return True


def own_item(place: Any, name: str, file: str = "") -> Any:
    """A group or an array of the file itself.

    Args:
        place: h5py's file or group.
        name: path in it.
        file: name of the file for the message, where its reader does not say it.

    Raises:
        InputError: it is not there, or is in another file: by a link, as external or as virtual
            storage.
    """
    import h5py

    begin = f"{file}: " if file else ""
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            raise InputError(f"{begin}it has no {name}: it was not written to its end.")
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{begin}its {name} is in another file.")
        place = place[part]
    if isinstance(place, h5py.Dataset) and (place.external or place.is_virtual):
        raise InputError(f"{begin}its {name} is in another file.")
    return place
