"""Where a service is, as the settings and names say it. No sockets."""

import asyncio
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from cortex_gateway.adapters.pool.addresses import Address, read_addresses, resolve
from cortex_gateway.adapters.pool.replicas import Replicas
from cortex_gateway.settings import Settings


class TestAddresses:
    def test_several_by_commas(self) -> None:
        assert read_addresses("http://one:3001, https://[::1]/,http://two") == [
            Address("one", 3001, False, "one", "one:3001"),
            Address("::1", 443, True, "::1", "[::1]"),
            Address("two", 80, False, "two", "two"),
        ]

    @pytest.mark.parametrize(
        "text", ["one:3001", "ftp://one", "http://", "http://u:p@one", "http://one/path", "http://one:70000"]
    )
    def test_what_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"http://|ort"):
            read_addresses(text)

    @pytest.mark.parametrize("text", ["http://one:1,two:2", "http://one:1,", "http://one:1,http://a b", "http://o/p"])
    def test_the_settings_refuse_it_too(self, text: str) -> None:
        with pytest.raises(ValidationError):
            Settings(env="test", order_url=text)

    def test_the_settings_take_several(self) -> None:
        assert Settings(env="test", order_url="http://one:1,http://two:2").order_url == "http://one:1,http://two:2"

    async def test_an_ip_address_stands_for_itself(self) -> None:
        (address,) = read_addresses("http://10.0.0.1:3001")
        assert await resolve(address) == [address]

    async def test_a_name_is_all_its_addresses_of_one_family(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 3001, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.2", 3001)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 3001)),
        ]

        async def getaddrinfo(*_: Any, **__: Any) -> Any:
            return found

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        (address,) = read_addresses("http://order:3001")

        assert [each.host for each in await resolve(address)] == ["10.0.0.1", "10.0.0.2"]
        assert {(each.name, each.authority) for each in await resolve(address)} == {("order", "order:3001")}
        del found[1:]
        assert [each.host for each in await resolve(address)] == ["::1"]

    def test_what_is_known_of_a_replica_that_stays_is_kept(self) -> None:
        among = Replicas(read_addresses("http://10.0.0.1:3001,http://10.0.0.2:3001,http://10.0.0.3:3001"))
        gone, stays = among.all[0], among.all[1]
        stays.outstanding = 7

        among.become([stays.address, *read_addresses("http://10.0.0.9:3001")])

        assert among.all[0] is stays
        assert [replica.address.host for replica in among.all] == ["10.0.0.2", "10.0.0.9"]
        assert gone.gone
