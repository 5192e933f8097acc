"""A ROS domain of one's own, so that a demo or a self-test meets nobody else's nodes."""

from __future__ import annotations

import random
import socket

from msdesis_ros.core.errors import MsdesisError

# Above 101 the ports of a domain run into those that Linux hands out to everybody (from 32768).
FIRST_DOMAIN, LAST_DOMAIN = 1, 101
# RTPS, which Fast DDS and Cyclone DDS both speak: the ports of a domain start at 7400 + 250 times
# its number. All participants share the first one, for discovery by multicast; the one at +10 is
# that of the first participant of the machine.
FIRST_PORT, PORTS_A_DOMAIN = 7400, 250
USED_PORTS = (0, 10)


def private_domain_id() -> int:
    """Return the number of a ROS domain, 1 to 101, that no process of this machine is in.

    Drawn at random, so that two callers at the same moment seldom get the same one. Raises
    MsdesisError where all are taken.
    """
    domains = list(range(FIRST_DOMAIN, LAST_DOMAIN + 1))
    random.shuffle(domains)
    for domain in domains:
        if not domain_is_used(domain):
            return domain
    raise MsdesisError(
        f'every ROS domain from {FIRST_DOMAIN} to {LAST_DOMAIN} is in use on this machine; '
        'end ROS processes that are no longer needed'
    )


def domain_is_used(domain: int) -> bool:
    """Whether a process of this machine holds a discovery port of the domain."""
    first = FIRST_PORT + PORTS_A_DOMAIN * domain
    return not all(_is_free(first + offset) for offset in USED_PORTS)


def _is_free(port: int) -> bool:
    # Participants share the port (SO_REUSEADDR); without that option, binding tells them.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True
