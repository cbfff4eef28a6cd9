"""What a process gives up before it opens a file that may run code: the network, and much of
memory, time and disk.

It is not a prison: what runs there may read the files of the user. So it is only for files that a
user asked to be opened.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from dataclasses import dataclass
from pathlib import Path

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000
"""Of Linux' unshare(2)."""
NO_NEW_PRIVILEGES = 38
"""Of Linux' prctl(2)."""


@dataclass(frozen=True)
class Limits:
    """What a confined process may use.

    Attributes:
        memory: bytes that it may write to.
        seconds: of processor time.
        file_size: bytes of each file that it writes.
    """

    memory: int
    seconds: int
    file_size: int


def confine(limits: Limits) -> bool:
    """Limit this process and its children, for good; True where the network is gone too.

    To be called before any thread is started. A user namespace of its own comes first, for from
    there not even root finds the way back.
    """
    cut = _leave_network()
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_DATA, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_size),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    return cut


def _leave_network() -> bool:
    user, group = os.getuid(), os.getgid()
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if libc.unshare(NEW_USER | NEW_NETWORK) == 0:
            own = Path("/proc/self")
            with contextlib.suppress(OSError):  # files are its own without a map as well
                (own / "setgroups").write_text("deny")
                (own / "uid_map").write_text(f"{user} {user} 1")
                (own / "gid_map").write_text(f"{group} {group} 1")
            return True
        return bool(libc.unshare(NEW_NETWORK) == 0)
    except (AttributeError, OSError):  # no Linux
        return False
