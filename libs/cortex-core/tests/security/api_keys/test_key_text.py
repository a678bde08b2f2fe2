"""What a key looks like, and what only resembles one."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_core.kernel.ids import new_id
from cortex_core.security.api_keys import PATTERN, Peppers, is_key_id, new_key, read_key
from cortex_core.security.api_keys.text import LENGTH

ONE, OTHER = "p" * 31 + "1", "p" * 31 + "2"


def test_what_was_made_is_read() -> None:
    key_id = new_id("key")
    made = new_key(key_id)

    assert read_key(made.text) == made
    assert (made.key_id, len(made.text)) == (key_id, LENGTH)
    assert PATTERN.fullmatch(made.text)


def test_a_secret_has_256_bits_and_comes_once() -> None:
    key_id = new_id("key")
    made = [new_key(key_id).text for _ in range(200)]

    assert len(set(made)) == 200
    assert 62**43 > 2**256 > 62**42
    first_digits = {text[36:39] for text in made}
    assert len(first_digits) > 100, "the leading digits are random too"


def test_the_first_digit_is_no_wider_than_256_bits_make_it() -> None:
    """256 bits in 43 digits: the first is at most so much, and nothing was cut off."""
    most = math.floor((2**256 - 1) / 62**42)

    firsts = {new_key(new_id("key")).text[36] for _ in range(400)}

    assert firsts <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[: most + 1])


def test_one_wrong_character_anywhere_is_told_without_asking_anybody() -> None:
    text = new_key(new_id("key")).text

    for place in range(len(text)):
        wrong = "1" if text[place] == "0" else "0"
        assert read_key(text[:place] + wrong + text[place + 1 :]) is None, place


def test_two_characters_that_changed_places_are_told() -> None:
    text = new_key(new_id("key")).text

    for place in range(len(text) - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert swapped == text or read_key(swapped) is None


@pytest.mark.parametrize("text", ["", "ck_", "ck_" + "0" * 82, "CK_" + "0" * 82, "x" * 10_000_000, "ck_\N{DIGIT ONE}"])
def test_what_is_no_key_is_none(text: str) -> None:
    assert read_key(text) is None


@given(st.text(max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert read_key(text) is None


def test_a_scanner_finds_it_in_a_text_and_nothing_else() -> None:
    text = new_key(new_id("key")).text
    leaked = f"export CORTEX_TOKEN={text}\nck_of_nothing_0123 and key_{'0' * 32}"

    assert [found[0] for found in re.finditer(PATTERN, leaked)] == [text]


def test_its_secret_is_in_no_representation() -> None:
    made = new_key(new_id("key"))

    assert made.text not in f"{made!r} {made}"
    assert made.text[36:] not in repr(made)


@pytest.mark.parametrize(
    "key_id", ["", "key_", "ord_" + "0" * 32, "key_" + "0" * 31, "key_" + "G" * 32, "key_" + "0" * 33]
)
def test_a_secret_is_made_for_a_keys_id_alone(key_id: str) -> None:
    assert not is_key_id(key_id)
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        new_key(key_id)


class TestPeppers:
    def test_a_hash_fits_its_own_key_alone(self) -> None:
        peppers, key, other = Peppers.of(ONE), new_key(new_id("key")), new_key(new_id("key"))

        digest = peppers.digest(key)

        assert peppers.fits(key, digest, peppers.current)
        assert not peppers.fits(other, digest, peppers.current)

    def test_without_the_pepper_it_fits_nothing(self) -> None:
        key = new_key(new_id("key"))
        digest, pepper = Peppers.of(ONE).digest(key), Peppers.of(ONE).current

        assert not Peppers.of(OTHER).fits(key, digest, pepper)
        assert not Peppers.of(OTHER).fits(key, digest, Peppers.of(OTHER).current)

    def test_while_one_replaces_another_both_check_and_the_first_makes(self) -> None:
        key = new_key(new_id("key"))
        old, both = Peppers.of(OTHER), Peppers.of(f"{ONE},{OTHER}")

        assert both.fits(key, old.digest(key), old.current)
        assert both.current == Peppers.of(ONE).current
        assert both.digest(key) == Peppers.of(ONE).digest(key)

    @pytest.mark.parametrize("setting", ["", ",", "p" * 31, f"{ONE},short", f"{ONE},{ONE}", "p" * 31 + " x", "é" * 40])
    def test_what_makes_no_pepper_is_refused_and_not_repeated(self, setting: str) -> None:
        with pytest.raises(ValueError, match="pepper") as caught:
            Peppers.of(setting)

        assert not setting.strip(",") or setting not in str(caught.value)

    def test_none_is_in_the_representation(self) -> None:
        assert ONE not in repr(Peppers.of(ONE))
