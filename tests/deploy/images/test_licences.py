"""Which licence a package says it has: the words, where they are known, as SPDX writes them."""

import pytest
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression

from scripts.images.licences import of_debian, of_distribution

MIT = "Permission is hereby\ngranted, free of charge, to any person … without restriction"
BSD = "Redistribution and use in source and binary forms"


def said(licence: License) -> str:
    if isinstance(licence, LicenseExpression):
        return licence.value
    assert isinstance(licence, DisjunctiveLicense)
    return licence.id or f"name: {licence.name}"


@pytest.mark.parametrize(
    ("expression", "licence", "classifiers", "texts", "expected"),
    [
        ("MIT OR Apache-2.0", "BSD", [], {}, ["MIT OR Apache-2.0"]),
        ("", "Apache 2.0", ["License :: OSI Approved :: MIT License"], {}, ["Apache-2.0"]),
        ("", "3-Clause BSD License", [], {}, ["BSD-3-Clause"]),
        ("", "Permission\nis granted", ["License :: OSI Approved :: MIT License"], {}, ["MIT"]),
        ("", "p" * 81, [], {"LICENSE": MIT}, ["MIT"]),
        ("", "", ["Topic :: Internet"], {"LICENSE": f"{BSD} … Neither the name of"}, ["BSD-3-Clause"]),
        ("", "", [], {"LICENSE": BSD}, ["BSD-2-Clause"]),
        ("", "", [], {"LICENSE-MIT": MIT, "LICENSE": "Apache License\n Version 2.0"}, ["Apache-2.0", "MIT"]),
        ("", "", [], {"licenses/LICENSE": "do as you like"}, ["name: see licenses/LICENSE"]),
        ("", "Ours", [], {}, ["name: Ours"]),
        ("", "", [], {}, []),
    ],
)
def test_a_distribution_says_it_in_one_of_four_ways(
    expression: str, licence: str, classifiers: list[str], texts: dict[str, str], expected: list[str]
) -> None:
    assert [said(each) for each in of_distribution(expression, licence, classifiers, texts)] == expected


FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{FORMAT}\nLicense: GPL-2+ or Expat\n text\n\nLicense: Expat\n", ["GPL-2.0-or-later", "MIT"]),
        (f"{FORMAT}License: LGPL-2.1, and BSD-3-clause\n", ["LGPL-2.1-only", "BSD-3-Clause"]),
        (f"{FORMAT}License: GPL-3 with GCC exception\n", ["name: GPL-3 with GCC exception"]),
        (f"{FORMAT}License: public-domain\n", ["name: public-domain"]),
        (f"{FORMAT}License: {'x' * 81}\n", ["name: see /usr/share/doc/libz/copyright"]),
        ("License: not by that format\n", ["name: see /usr/share/doc/libz/copyright"]),
        ("", []),
    ],
)
def test_a_debian_package_says_it_by_a_machine_readable_file_or_names_the_file(text: str, expected: list[str]) -> None:
    assert [said(each) for each in of_debian("libz", text)] == expected
