"""Who is asking, behind proxies that are trusted, and behind words that are not."""

import tracemalloc
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.asgi import ClientAddress

OURS = ["10.0.0.0/8", "2001:db8:1::/48"]

Header = Literal["x-forwarded-for", "forwarded"]


def scope(peer: str | None, *lines: str | bytes, name: str = "x-forwarded-for") -> dict[str, Any]:
    headers = [(name.encode(), line if isinstance(line, bytes) else line.encode("latin-1")) for line in lines]
    return {"type": "http", "client": None if peer is None else (peer, 4711), "headers": headers}


def forwarded(peer: str | None, *lines: str) -> dict[str, Any]:
    return scope(peer, *lines, name="forwarded")


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert ClientAddress().address(scope("192.0.2.1", "203.0.113.7")) == "192.0.2.1"


def test_what_an_untrusted_peer_says_is_not_believed() -> None:
    assert ClientAddress(trusted=OURS).address(scope("192.0.2.1", "203.0.113.7")) == "192.0.2.1"


@pytest.mark.parametrize(
    ("written", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7:4711"], "203.0.113.7"),
        (["203.0.113.7 , 10.1.1.1 ,10.2.2.2"], "203.0.113.7"),
        (["1.2.3.4, 203.0.113.7, 10.1.1.1"], "203.0.113.7"),
        (["1.2.3.4", "203.0.113.7", "10.1.1.1"], "203.0.113.7"),
        (["nonsense, 203.0.113.7"], "203.0.113.7"),
        (['for="1.2.3.4, 203.0.113.7'], "203.0.113.7"),
        (["203.0.113.7, , ,"], "203.0.113.7"),
        (["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["203.0.113.7, 2001:db8:1::5"], "203.0.113.7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7"),
    ],
)
def test_the_first_address_from_the_right_that_is_no_proxys_is_the_client(written: list[str], client: str) -> None:
    assert ClientAddress(trusted=OURS).address(scope("10.0.0.1", *written)) == client


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["unknown"], "10.0.0.1"),
        (["203.0.113.7, nonsense"], "10.0.0.1"),
        (["203.0.113.7, unknown, 10.1.1.1"], "10.1.1.1"),
        (["203.0.113.7, 10.1.1"], "10.0.0.1"),
        (["203.0.113.7, 300.1.1.1"], "10.0.0.1"),
        (["203.0.113.7:port"], "10.0.0.1"),
        (["203.0.113.7:123456"], "10.0.0.1"),
        (["fe80::1%eth0"], "10.0.0.1"),
        (["[2001:db8::1"], "10.0.0.1"),
        (["2001:db8::1]"], "10.0.0.1"),
        (["1" * 100_000], "10.0.0.1"),
        (["10.1.1.1, " * 5000], "10.1.1.1"),
    ],
)
def test_what_makes_no_sense_ends_the_reading_at_the_last_trustworthy_address(written: list[str], client: str) -> None:
    assert ClientAddress(trusted=OURS).address(scope("10.0.0.1", *written)) == client


def test_no_more_than_32_proxies_are_walked_past() -> None:
    address = ClientAddress(trusted=OURS)

    assert address.address(scope("10.0.0.1", "203.0.113.7" + ", 10.9.9.9" * 31)) == "203.0.113.7"
    assert address.address(scope("10.0.0.1", "203.0.113.7" + ", 10.9.9.9" * 32)) == "10.9.9.9"


@pytest.mark.parametrize(
    ("written", "client"),
    [
        (["for=203.0.113.7"], "203.0.113.7"),
        (["For=203.0.113.7;proto=https;by=10.0.0.1"], "203.0.113.7"),
        (["proto=https;FOR=203.0.113.7"], "203.0.113.7"),
        (['for="203.0.113.7:4711"'], "203.0.113.7"),
        (['for="[2001:db8::1]"'], "2001:db8::1"),
        (['for="[2001:db8::1]:4711";host="a,b;c"'], "2001:db8::1"),
        (['for="[2001:db8::1]:_port"'], "2001:db8::1"),
        (['for="203\\.0.113.7"'], "203.0.113.7"),
        (["for=1.2.3.4, for=203.0.113.7, for=10.1.1.1"], "203.0.113.7"),
        (["for=1.2.3.4", "for=203.0.113.7", "for=10.1.1.1"], "203.0.113.7"),
        (['for="1.2.3.4, for=203.0.113.7'], "203.0.113.7"),
        (['for=1.2.3.4;host="a\\", for=6.6.6.6, for=203.0.113.7'], "203.0.113.7"),
        (['for=203.0.113.7;host="\\"", for=10.1.1.1;host="\\\\"'], "203.0.113.7"),
        (["for=203.0.113.7, , ,"], "203.0.113.7"),
        (["for=203.0.113.7;"], "203.0.113.7"),
    ],
)
def test_forwarded_is_read_from_the_right_as_well(written: list[str], client: str) -> None:
    address = ClientAddress(trusted=OURS, header="forwarded")

    assert address.address(forwarded("10.0.0.1", *written)) == client


@pytest.mark.parametrize(
    "written",
    [
        "",
        "for=unknown",
        "for=_hidden",
        'for="_hidden:80"',
        "proto=https",
        "for",
        "for=",
        'for="',
        'for="203.0.113.7',
        "for=203.0.113.7;for=203.0.113.8",
        "for=1.2.3.4, by=10.1.1.1",
        "203.0.113.7",
    ],
)
def test_a_proxy_that_names_nobody_is_itself_the_last_trustworthy_address(written: str) -> None:
    address = ClientAddress(trusted=OURS, header="forwarded")

    assert address.address(forwarded("10.0.0.1", written)) == "10.0.0.1"


def test_only_the_named_header_is_read() -> None:
    """The other one comes from the client, through a proxy that does not know it."""
    both = scope("10.0.0.1", "203.0.113.7")
    both["headers"].append((b"forwarded", b"for=6.6.6.6"))

    assert ClientAddress(trusted=OURS).address(both) == "203.0.113.7"
    assert ClientAddress(trusted=OURS, header="forwarded").address(both) == "6.6.6.6"


def test_ipv4_inside_ipv6_is_ipv4() -> None:
    address = ClientAddress(trusted=OURS)

    assert address.address(scope("::ffff:192.0.2.1")) == "192.0.2.1"
    assert address.address(scope("::ffff:10.0.0.1", "203.0.113.7")) == "203.0.113.7"


def test_a_link_local_peer_is_known_without_its_interface() -> None:
    assert ClientAddress().address(scope("fe80::1%eth0")) == "fe80::1"


def test_a_peer_on_a_unix_socket_is_trusted_only_if_that_is_said() -> None:
    assert ClientAddress(trusted=OURS).address(scope(None, "203.0.113.7")) == "unknown"
    assert ClientAddress(trusted=["unix"]).address(scope(None, "203.0.113.7")) == "203.0.113.7"
    assert ClientAddress(trusted=["unix"]).address(scope(None)) == "unknown"
    assert ClientAddress(trusted=["unix"]).group(scope(None)) == "unknown"


def test_ipv6_clients_are_grouped_by_network() -> None:
    one, another, elsewhere = "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"
    address = ClientAddress()

    assert address.group(scope(one)) == address.group(scope(another)) == "2001:db8:0:1::/64"
    assert address.group(scope(elsewhere)) != address.group(scope(one))
    assert ClientAddress(ipv6_prefix=48).group(scope(elsewhere)) == "2001:db8::/48"
    assert address.group(scope("192.0.2.1")) == "192.0.2.1"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"trusted": ["10.0.0.0/40"]}, "trusted .* '10.0.0.0/40'"),
        ({"trusted": ["10.0.0.1/8"]}, "trusted"),
        ({"trusted": ["localhost"]}, "trusted"),
        ({"header": "x-real-ip"}, "header"),
        ({"ipv6_prefix": 0}, "ipv6_prefix"),
        ({"ipv6_prefix": 129}, "ipv6_prefix"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ClientAddress(**settings)


def behind(peer: str | None, *said: tuple[str, str], header: Header = "x-forwarded-for") -> tuple[Any, ...]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in said]
    request = {"type": "http", "client": None if peer is None else (peer, 4711), "headers": headers}
    return tuple(ClientAddress(trusted=[*OURS, "unix"], header=header).origin(request))


FOR, PROTO, HOST = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"


class TestOrigin:
    @pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
    def test_nobody_but_a_trusted_peer_is_believed(self, header: Header) -> None:
        told = [(FOR, "6.6.6.6"), (PROTO, "https"), (HOST, "evil.example")]
        told.append(("forwarded", "for=6.6.6.6;proto=https;host=evil.example"))

        assert behind("198.51.100.9", *told, header=header) == ("198.51.100.9", None, None)

    def test_a_trusted_proxy_says_who_asked_and_how(self) -> None:
        told = [(FOR, "203.0.113.7"), (PROTO, "HTTPS"), (HOST, "hub.example:8443")]

        assert behind("10.0.0.1", *told) == ("203.0.113.7", "https", "hub.example:8443")
        assert behind("10.0.0.1") == ("10.0.0.1", None, None)
        assert behind(None, *told) == ("203.0.113.7", "https", "hub.example:8443")
        assert behind(None) == (None, None, None)

    def test_what_stands_before_the_proxys_word_is_the_clients(self) -> None:
        told = [(FOR, "6.6.6.6, 203.0.113.7, 10.0.0.2"), (PROTO, "https, http"), (HOST, "evil.example"), (HOST, "hub")]

        assert behind("10.0.0.1", *told) == ("203.0.113.7", "http", "hub")

    def test_of_forwarded_the_element_counts_that_the_address_is_from(self) -> None:
        written = (
            'for=6.6.6.6;proto=https;host=evil, for=203.0.113.7;proto=https;host="hub.example:8443", '
            "for=10.0.0.2;proto=http;host=inside"
        )

        found = behind("10.0.0.1", ("forwarded", written), (PROTO, "ws"), (HOST, "evil"), header="forwarded")

        assert found == ("203.0.113.7", "https", "hub.example:8443")

    def test_a_proxy_that_hides_the_address_may_say_the_rest(self) -> None:
        written = "for=6.6.6.6;proto=http;host=evil, for=_hidden;Proto=https;host=hub, for=10.0.0.2"

        assert behind("10.0.0.1", ("forwarded", written), header="forwarded") == ("10.0.0.2", "https", "hub")

    @pytest.mark.parametrize("host", ["", "hub/x", "a b", "user@hub", "[::1", "hub:", "hub:http", "h" * 300, "é"])
    def test_what_is_no_host_is_nobodys_word(self, host: str) -> None:
        assert behind("10.0.0.1", (HOST, host), (PROTO, "gopher")) == ("10.0.0.1", None, None)

    def test_what_an_element_says_twice_it_does_not_say(self) -> None:
        written = "for=203.0.113.7;proto=https;proto=http;proto=https;host=a;host=b"

        assert behind("10.0.0.1", ("forwarded", written), header="forwarded") == ("203.0.113.7", None, None)


PIECES = st.sampled_from(
    [
        *'",;= \t[]:%\\',
        "for=",
        "FOR=",
        "by=",
        "_x",
        "unknown",
        "203.0.113.7",
        "10.0.0.1",
        "2001:db8::1",
        "::",
        *"\xff\x00é",
    ]
)
WORDS = st.lists(PIECES, max_size=30).map("".join)


@given(
    lines=st.lists(st.one_of(WORDS.map(lambda text: text.encode("latin-1")), st.binary(max_size=200)), max_size=4),
    header=st.sampled_from(["x-forwarded-for", "forwarded"]),
    peer=st.one_of(st.none(), st.sampled_from(["10.0.0.1", "192.0.2.1", "::1", "garbage"]), st.text(max_size=20)),
)
def test_nothing_makes_it_raise(lines: list[bytes], header: Header, peer: str | None) -> None:
    address = ClientAddress(trusted=[*OURS, "unix"], header=header)
    request = scope(peer, *lines, name=header)
    assert address.origin(request).address in {address.address(request), None}

    assert address.address(request)
    assert address.group(request)


@given(junk=st.one_of(WORDS, st.text(alphabet=st.characters(max_codepoint=255), max_size=100)))
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_whatever_the_client_wrote_what_the_proxy_appended_is_read(header: Header, junk: str) -> None:
    """A client cannot choose by whom it is counted."""
    appended = "for=203.0.113.7" if header == "forwarded" else "203.0.113.7"
    address = ClientAddress(trusted=OURS, header=header)

    assert address.address(scope("10.0.0.1", f"{junk}, {appended}", name=header)) == "203.0.113.7"


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_long_nodes_fill_no_memory(header: Header) -> None:
    address = ClientAddress(trusted=OURS, header=header)
    begin = "for=" if header == "forwarded" else ""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for number in range(200):
        assert address.address(scope("10.0.0.1", f"{begin}{number:020000}{header}", name=header)) == "10.0.0.1"

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1_000_000
