"""Settings of this process that let 4 to 21 MB messages through, made before `rclpy.init()`.

Two things decide, measured with 3.9 MB images at 30 Hz between two processes on 2 cores: the
shared memory of Fast DDS (default: best effort 0 of 150 images arrive; with the shipped profile
150) and page faults of the allocator (p50 latency 7.0 ms, with the settings below 3.6 ms, and a
third of the receiver's CPU time). Both are set here rather than in a shell, so that they hold
however the process was started.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.core.resources import resource

# Fast DDS 2 (Humble, Jazzy) reads the second name, Fast DDS 3 (Kilted, Lyrical) the first.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
# Whoever sets this has chosen transports of his own, which the profile would override.
TRANSPORTS_VARIABLE = 'FASTDDS_BUILTIN_TRANSPORTS'
PROFILE = ('config', 'fastdds_large_data.xml')

# What the segment of the profile takes of /dev/shm in each process: 128 MiB and its bookkeeping.
SEGMENT_BYTES = 135 * 2**20
SEGMENT_MIN_BYTES = 128 * 2**20
STALE_AFTER_S = 5.0
# Driver (or player), node, recorder (or viewer).
USUAL_PROCESSES = 3
SHARED_MEMORY = Path('/dev/shm')


@dataclass(frozen=True)
class _MallocSetting:
    """One knob of glibc's allocator: its variable, its number in <malloc.h>, values to try."""

    variable: str
    parameter: int
    values: tuple[int, ...]


# Keep freed blocks instead of giving them back to the kernel: a fresh page costs a fault.
_MALLOC_SETTINGS = (
    # Some versions of glibc accept no more than 32 MiB, which holds the largest cloud too.
    _MallocSetting('MALLOC_MMAP_THRESHOLD_', -3, (2**30, 2**25)),
    _MallocSetting('MALLOC_TRIM_THRESHOLD_', -1, (2**31 - 1,)),
    _MallocSetting('MALLOC_TOP_PAD_', -2, (2**26,)),
)


@dataclass(frozen=True)
class TransportReport:
    """What `prepare_process` found and set.

    profile_path: the Fast DDS profile in force, None where the user chose transports without one.
    profile_is_users: that choice is the user's, it was left alone. shm_*: of /dev/shm, None where
    there is none. stale_bytes: what was freed there, left behind by processes that were killed.
    warnings: sentences for the log.
    """

    malloc_active: bool
    profile_path: Path | None
    profile_is_users: bool
    shm_total_bytes: int | None
    shm_free_bytes: int | None
    stale_bytes: int
    warnings: tuple[str, ...]


def prepare_process() -> TransportReport:
    """Set allocator and Fast DDS profile of this process; call it before `rclpy.init()`.

    What the user has set himself stays. Calling it again changes nothing. Shared memory of dead
    processes is freed.
    """
    profile, is_users = _use_profile()
    stale_bytes = remove_stale_segments()
    total, free = _shared_memory()
    warnings = []
    if is_users and profile is not None and not profile.is_file():
        warnings.append(
            f'the Fast DDS profile {profile} named in the environment does not exist, so large '
            f'images will be lost: correct or unset {" and ".join(PROFILE_VARIABLES)}'
        )
    if not is_users:
        warnings += _shared_memory_warnings(total, free)
    return TransportReport(
        malloc_active=_set_malloc(),
        profile_path=profile,
        profile_is_users=is_users,
        shm_total_bytes=total,
        shm_free_bytes=free,
        stale_bytes=stale_bytes,
        warnings=tuple(warnings),
    )


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of `base` (default: this process's environment) with both settings, for a child.

    Programs that are not ours (a driver, a viewer, `ros2 bag`) get them this way. What the user
    has set himself stays.
    """
    environment = dict(os.environ if base is None else base)
    for setting in _MALLOC_SETTINGS:
        environment.setdefault(setting.variable, str(setting.values[0]))
    environment.update(_profile_settings(environment))
    return environment


def remove_stale_segments() -> int:
    """Free the large segments whose process is dead; returns their bytes.

    A process that is killed leaves its 135 MiB in /dev/shm until the next boot, and Fast DDS does
    not clean up either: 40 kills filled 5.7 GB. The owner of a segment holds a lock on the file
    `<segment>_el`; who can take that lock knows that the owner is gone (the tool `fastdds shm
    clean` decides the same way). Small segments, which others make, are left alone.
    """
    freed = 0
    for lock in [*SHARED_MEMORY.glob('fastrtps_*_el'), *SHARED_MEMORY.glob('fastdds_*_el')]:
        segment = lock.with_name(lock.name.removesuffix('_el'))
        # Gone meanwhile, or another user's.
        with contextlib.suppress(OSError):
            size = segment.stat().st_size
            if size >= SEGMENT_MIN_BYTES and _is_abandoned(lock):
                segment.unlink()
                lock.unlink()
                freed += size
    return freed


def _is_abandoned(lock: Path) -> bool:
    # Between making the file and locking it its owner needs a moment.
    if time.time() - lock.stat().st_mtime < STALE_AFTER_S:
        return False
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _profile_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The profile variables to set, given those there are: one chosen name counts for both."""
    if environment.get(TRANSPORTS_VARIABLE):
        return {}
    chosen = [environment[name] for name in PROFILE_VARIABLES if environment.get(name)]
    path = chosen[0] if chosen else str(resource(*PROFILE))
    return {name: path for name in PROFILE_VARIABLES if not environment.get(name)}


def _use_profile() -> tuple[Path | None, bool]:
    """Complete the environment; return the profile in force and whether it is the user's."""
    os.environ.update(_profile_settings(os.environ))
    # Either variable alone may be the user's; Fast DDS reads one of them.
    named = {Path(os.environ[name]) for name in PROFILE_VARIABLES if os.environ.get(name)}
    ours = resource(*PROFILE)
    users = sorted(named - {ours})
    if users or not named:
        return (users[0] if users else None), True
    return ours, False


def _shared_memory() -> tuple[int | None, int | None]:
    """Total and free bytes of /dev/shm."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None, None
    return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize


def _shared_memory_warnings(total: int | None, free: int | None) -> list[str]:
    if total is None or free is None:
        return [
            f'{SHARED_MEMORY} does not exist, so images go over UDP and many will be lost: mount '
            f'it as tmpfs'
        ]
    if free >= SEGMENT_BYTES and total >= USUAL_PROCESSES * SEGMENT_BYTES:
        return []
    return [
        f'{SHARED_MEMORY} has {free >> 20} of {total >> 20} MiB free, and every process needs '
        f'{SEGMENT_BYTES >> 20} MiB of it; without, images go over UDP and many will be lost: '
        'start the container with --shm-size=1g, or free it'
    ]


def _set_malloc() -> bool:
    """Set what the user has not set; False where the C library is not glibc or refuses."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    return all(
        os.environ.get(setting.variable)
        or any(mallopt(setting.parameter, value) for value in setting.values)
        for setting in _MALLOC_SETTINGS
    )
