"""How sections become RESULTS.md."""

from benchmarks.report import PREAMBLE, Section, Table, merged, sections_of

ORDER = ("compression", "ratelimit", "headers")


def section(name: str, figure: str) -> Section:
    return Section(name, "a machine", [Table("Speed", ["side", "MB/s"], [["ours", figure]])], ["a note"])


def test_a_table_is_aligned_markdown() -> None:
    table = Table("Speed", ["side", "MB/s"], [["ours", "123.4"], ["a peer", "1"]])

    assert str(table).splitlines() == [
        "**Speed**",
        "",
        "| side   |  MB/s |",
        "| ------ | ----: |",
        "| ours   | 123.4 |",
        "| a peer |     1 |",
    ]


def test_the_first_results_have_the_preamble() -> None:
    text = merged("", [section("ratelimit", "1")], ORDER)

    assert text.startswith(PREAMBLE)
    assert "\n## ratelimit\n" in text


def test_a_part_replaces_its_own_section_and_keeps_the_others() -> None:
    before = merged("", [section("ratelimit", "111"), section("compression", "222")], ORDER)

    after = merged(before, [section("ratelimit", "333")], ORDER)

    assert "111" not in after
    assert "333" in sections_of(after)["ratelimit"]
    assert "222" in sections_of(after)["compression"]


def test_sections_come_in_the_order_of_the_areas() -> None:
    text = merged("", [section("headers", "1"), section("compression", "2")], ORDER)

    assert text.index("## compression") < text.index("## headers")


def test_merging_the_same_twice_changes_nothing() -> None:
    once = merged("", [section("headers", "1")], ORDER)

    assert merged(once, [section("headers", "1")], ORDER) == once


def test_an_area_that_is_gone_leaves_the_results() -> None:
    before = merged("", [section("headers", "1")], ORDER)

    assert "headers" not in merged(before, [], ("compression",))
