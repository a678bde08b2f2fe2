"""What a kind and an id may be."""

from typing import Any

import pytest

from cortex_core.actors import (
    ActorSystem,
    InvalidAddress,
    NameTaken,
    UnknownKind,
)
from cortex_core.kernel import use_context

from .cast import Gate, Order


async def test_what_nobody_registered_has_no_refs(system: ActorSystem) -> None:
    with pytest.raises(UnknownKind, match="no actors of kind 'order'"):
        system.ref("order", "ord_1")


async def test_kinds_and_names_share_one_space(system: ActorSystem) -> None:
    system.register("order", Order)
    system.spawn(Gate, "mailer")

    with pytest.raises(NameTaken):
        system.register("order", Order)
    with pytest.raises(NameTaken):
        system.register("mailer", Order)
    with pytest.raises(NameTaken):
        system.spawn(Gate, "order")


@pytest.mark.parametrize("key", ["", "a/b", "../x", "ord 1", "ord\n1", "é", "x" * 201, None, 7, b"ord_1"])
async def test_an_id_that_no_address_can_hold_is_refused(system: ActorSystem, key: Any) -> None:
    system.register("order", Order)

    with pytest.raises(InvalidAddress, match="id must be 1 to 200 letters"):
        system.ref("order", key)
    with use_context(tenant="no/tenant"), pytest.raises(InvalidAddress, match="tenant must be"):
        system.ref("order", "ord_1")


@pytest.mark.parametrize("max_active", [0, -1, 1.0, True, "1"])
async def test_a_bound_that_is_none_is_refused(system: ActorSystem, max_active: Any) -> None:
    with pytest.raises(ValueError, match="max_active must be a whole number from 1"):
        system.register("order", Order, max_active=max_active)


async def test_a_kind_that_no_address_can_hold_is_refused(system: ActorSystem) -> None:
    with pytest.raises(InvalidAddress, match="kind must be"):
        system.register("or/der", Order)
