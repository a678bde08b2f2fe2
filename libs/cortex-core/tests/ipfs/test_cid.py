import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.ipfs import DAG_PB, RAW, Cid, InvalidCid
from cortex_core.kernel import Kind

# One content's names, as `ipfs cid format` of Kubo 0.43.1 writes them.
KUBO_NAMES = [
    "bafybeiba36oyxo3ek4yww45pmo6gdgzkvcoknga7efyxdxzkaqkd3icfrq",
    "zdj7WXeDtguwJhFXnjMQcTE5LkXnbGgN1BU41wxQuFdvoyuLo",
    "k2jmtxs6lu8gcmt1wretkcomb9comanqmn2u82b3n2gyirzakmp0xjm4",
    "f0170122020df9d8bbb6457316b73af63bc619b2aa89ca6981f217171df2a04143da0458c",
    "QmQYyXFr5qDef5RRfsVcCxuyAP5EeTmLBhYRk6ry7NR1As",
]

cids = st.one_of(
    st.builds(Cid, st.just(1), st.sampled_from([RAW, DAG_PB]), st.binary(min_size=32, max_size=32)),
    st.builds(Cid, st.just(0), st.just(DAG_PB), st.binary(min_size=32, max_size=32)),
)


@pytest.mark.parametrize("name", KUBO_NAMES)
def test_kubos_names_of_one_content_end_in_one_name(name: str) -> None:
    assert str(Cid.parse(name).to_v1()) == KUBO_NAMES[0]


@pytest.mark.parametrize(("base", "name"), list(zip("bzkf", KUBO_NAMES[:4], strict=True)))
def test_each_base_is_written_as_kubo_writes_it(base: str, name: str) -> None:
    assert Cid.parse(KUBO_NAMES[0]).encode(base) == name


def test_version_0_is_written_as_kubo_writes_it() -> None:
    assert str(Cid.parse(KUBO_NAMES[4])) == KUBO_NAMES[4]


def test_the_empty_raw_block_has_its_well_known_name() -> None:
    assert str(Cid.of(RAW, b"")) == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"


@given(cids, st.sampled_from("bzkf"))
def test_what_is_written_is_read_back(cid: Cid, base: str) -> None:
    assert Cid.parse(cid.encode(base)) == cid
    assert Cid.from_bytes(cid.to_bytes()) == cid


@given(st.one_of(st.text(max_size=200), st.text(string.ascii_letters + string.digits, max_size=80)))
def test_any_text_is_a_cid_or_refused_as_one(text: str) -> None:
    for prefix in ("", "b", "z", "k", "f", "Qm", "bafkrei"):
        with suppress(InvalidCid):
            assert Cid.parse(prefix + text).digest


@given(st.binary(max_size=80))
def test_any_bytes_are_a_cid_or_refused_as_one(data: bytes) -> None:
    for prefix in (b"", b"\x12\x20", b"\x01\x55\x12\x20"):
        with suppress(InvalidCid):
            assert Cid.from_bytes(prefix + data).to_bytes() == prefix + data


@given(cids, st.sampled_from("bzkf"), st.data())
def test_no_content_has_two_texts_in_one_base(cid: Cid, base: str, data: st.DataObject) -> None:
    text = cid.encode(base)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii"))
    changed = text[:at] + letter + text[at + 1 :]

    with suppress(InvalidCid):
        assert (Cid.parse(changed) == cid) == (changed == text)


V1 = KUBO_NAMES[0]
HEX = KUBO_NAMES[3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "base ''"),
        ("hello", "base 'h'"),
        ("B" + V1[1:].upper(), "base 'B'"),
        ("b" + V1[1:].upper(), "outside of base32"),
        (V1 + "=", "outside of base32"),
        (V1[:-1] + "r", "not the canonical text"),  # the last letter carries a spare bit, here set
        (V1[:-1], "padding|not the canonical text"),
        ("f " + HEX[1:], "not the canonical text"),
        (HEX.upper().replace("F", "f", 1), "not the canonical text"),
        (HEX + "00", "digest of 33 bytes"),
        (HEX[:-2], "digest of 31 bytes"),
        ("f02" + HEX[3:], "version 2"),
        ("f0171" + HEX[5:], "codec 0x71"),
        ("f01701114" + "00" * 20, "not SHA2-256"),
        ("f018101" + HEX[5:], "neither raw nor dag-pb"),
        ("f01f000" + HEX[5:], "longer form"),
        ("f01ffffffffffffffffffff", "does not end"),
        ("f1220" + HEX[9:], "no multibase prefix"),
        ("Qm" + "0" * 44, "substring not found"),
        ("z" * 129, "too many"),
    ],
)
def test_what_is_not_quite_a_cid_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidCid, match=reason) as caught:
        Cid.parse(text)

    assert (caught.value.code, caught.value.kind) == ("cid.invalid", Kind.INVALID)


@pytest.mark.parametrize(("version", "codec", "digest"), [(2, RAW, 32), (0, RAW, 32), (1, 0x71, 32), (1, RAW, 20)])
def test_an_impossible_cid_cannot_be_made(version: int, codec: int, digest: int) -> None:
    with pytest.raises(InvalidCid):
        Cid(version, codec, bytes(digest))


def test_a_cid_names_its_bytes_and_no_others() -> None:
    cid = Cid.of(RAW, b"these")

    assert cid.names(b"these")
    assert not cid.names(b"those")
