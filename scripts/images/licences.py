"""Which licence a package is under, by what it says of itself, as CycloneDX has it: an SPDX identifier or expression
where the words are known for one, else the words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseAcknowledgement

_LONGEST: Final = 80  # a longer one is the licence's text, put where its name belongs
_MOST: Final = 64
_DECLARED, _CONCLUDED = LicenseAcknowledgement.DECLARED, LicenseAcknowledgement.CONCLUDED
_APART: Final = re.compile(r"\s+(?:and/or|or|and)\s+|\s*,\s*(?:(?:or|and)\s+)?", re.IGNORECASE)

_SPDX: Final[Mapping[str, str]] = {  # what people write, in small letters, dashes for spaces
    "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0", "apache-software-license": "Apache-2.0",
    "apache-license-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl", "bsd-2-clause": "BSD-2-Clause",
    "3-clause-bsd-license": "BSD-3-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
    "cc0-1.0": "CC0-1.0", "expat": "MIT", "mit-license": "MIT", "mit": "MIT", "isc": "ISC", "zlib": "Zlib",
    "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-3": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later", "mozilla-public-license-2.0-(mpl-2.0)": "MPL-2.0", "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0", "psf-2": "PSF-2.0", "python-software-foundation-license": "PSF-2.0",
}  # fmt: skip
_TEXTS: Final = (  # the first of which every part is in a text
    ("Apache-2.0", ("Apache License", "Version 2.0")),
    ("MPL-2.0", ("Mozilla Public License", "2.0")),
    ("BSD-3-Clause", ("Redistribution and use in source and binary forms", "Neither the name")),
    ("BSD-2-Clause", ("Redistribution and use in source and binary forms",)),
    ("MIT", ("Permission is hereby granted, free of charge", "without restriction")),
)


def named(words: str, acknowledged: LicenseAcknowledgement | None = _DECLARED) -> License:
    """By these words."""
    known = _SPDX.get("-".join(words.lower().split()), words)
    return LicenseFactory().make_from_string(known, license_acknowledgement=acknowledged)


def of_distribution(
    expression: str, licence: str, classifiers: Sequence[str], texts: Mapping[str, str]
) -> Iterator[License]:
    """Of a Python distribution: the first that it has of its expression, its licence's name, its classifiers, and what
    its licence files (`texts`, by name) read like."""
    told = [words for words in (expression, licence) if 0 < len(words) <= _LONGEST and "\n" not in words]
    last = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: ")]
    if told:
        yield named(told[0])
    elif last:
        yield from (named(each) for each in last)
    else:
        known = {_read(text) for text in texts.values()} - {""}
        yield from (named(each, _CONCLUDED) for each in sorted(known))
        if not known and texts:
            yield DisjunctiveLicense(name=f"see {min(texts)}")


def _read(text: str) -> str:
    flat = " ".join(text.split())
    return next((name for name, parts in _TEXTS if all(part in flat for part in parts)), "")


def of_debian(package: str, text: str) -> Iterator[License]:
    """Those that a copyright file names where a machine can read it (DEP-5): of some files each, not all of all. What
    "with … exception" says stays a name. Else the file itself is named."""
    found: dict[str, None] = {}
    if re.match(r"\s*Format: *\S*/copyright-format/1\.0", text):
        for words in re.findall(r"^License:[ \t]*(\S.*?)[ \t]*$", text, re.MULTILINE):
            found |= dict.fromkeys(each for each in _APART.split(words) if 0 < len(each) <= _LONGEST)
    kinds: dict[str, License] = {}
    for each in list(found)[:_MOST]:
        known = _SPDX.get("-".join(each.lower().split()))
        kinds[known or each] = named(known) if known else DisjunctiveLicense(name=each, acknowledgement=_DECLARED)
    yield from kinds.values()
    if not kinds and text:
        yield DisjunctiveLicense(name=f"see /usr/share/doc/{package}/copyright")
