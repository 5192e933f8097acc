from __future__ import annotations

import random
import socket

import pytest

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.ros import domain


def hold(number: int, offset: int) -> socket.socket:
    """Bind a port of a domain the way a participant does, shared with others."""
    held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(('', domain.FIRST_PORT + domain.PORTS_A_DOMAIN * number + offset))
    return held


@pytest.mark.parametrize('offset', domain.USED_PORTS)
def test_a_domain_with_a_bound_port_is_used(offset):
    number = domain.private_domain_id()
    assert not domain.domain_is_used(number)
    with hold(number, offset):
        assert domain.domain_is_used(number)
    assert not domain.domain_is_used(number)


def test_a_used_domain_is_never_drawn(monkeypatch):
    monkeypatch.setattr(domain, 'domain_is_used', lambda number: number != 42)
    assert domain.private_domain_id() == 42


def test_domains_are_drawn_from_1_to_101(monkeypatch):
    monkeypatch.setattr(domain, 'domain_is_used', lambda number: False)
    random.seed(1)
    drawn = {domain.private_domain_id() for _ in range(2000)}
    assert drawn == set(range(1, 102))


def test_no_free_domain_is_an_error(monkeypatch):
    monkeypatch.setattr(domain, 'domain_is_used', lambda number: True)
    with pytest.raises(MsdesisError, match='in use'):
        domain.private_domain_id()


def test_a_domain_with_a_node_in_it_is_used(ros_domain):
    import rclpy

    number = domain.private_domain_id()
    assert number != ros_domain, 'that one is held for the tests'
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=number)
    node = rclpy.create_node('somebody', context=context)
    assert domain.domain_is_used(number)
    node.destroy_node()
    context.shutdown()
    assert not domain.domain_is_used(number)
