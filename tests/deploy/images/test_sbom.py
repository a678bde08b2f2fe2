"""What `make sbom` writes of what it found in an image."""

import json
from typing import Any

import pytest

from scripts.images import sbom
from scripts.images.sbom import Contents, document

FOUND = Contents(
    identity="sha256:1234",
    distributions=[
        {"Name": "Zlib_NG", "Version": "1.1.0", "License": "PSF-2.0"},
        {"Name": "two", "Version": "2", "License-Expression": "MIT OR Apache-2.0"},
        {
            "Name": "wordy",
            "Version": "3",
            "License": "Permission is hereby granted, free of charge, to any person\nwho",
        },
        {"Name": "silent", "Version": "4"},
    ],
    debian=[{"Package": "libc6", "Version": "2.36-9+deb12u13", "Architecture": "amd64"}],
    python="3.11.2",
    scripts=[{"package": "uplot", "version": "1.6.32", "license": "MIT", "integrity": "sha512-x"}],
)


@pytest.fixture
def written() -> dict[str, Any]:
    document_of: dict[str, Any] = json.loads(document("order", "0.1.0", FOUND))
    return document_of


def test_each_part_has_its_package_url(written: dict[str, Any]) -> None:
    assert {each["purl"] for each in written["components"]} == {
        "pkg:generic/python@3.11.2", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64", "pkg:pypi/silent@4",
        "pkg:pypi/two@2", "pkg:pypi/wordy@3", "pkg:pypi/zlib-ng@1.1.0", "pkg:npm/uplot@1.6.32",
    }  # fmt: skip


def test_licences_are_those_that_are_named(written: dict[str, Any]) -> None:
    licences = {each["name"]: each.get("licenses") for each in written["components"]}

    assert licences["zlib-ng"] == [{"license": {"id": "PSF-2.0", "acknowledgement": "declared"}}]
    assert licences["two"] == [{"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}]
    assert licences["uplot"] == [{"license": {"id": "MIT"}}]
    assert licences["wordy"] is licences["silent"] is None


def test_it_says_what_it_describes_and_is_the_same_twice(written: dict[str, Any]) -> None:
    assert written["specVersion"] == "1.6"
    assert written["metadata"] == {
        "component": {"bom-ref": "order", "name": "cortex-hub/order", "type": "container", "version": "0.1.0"}
    }
    assert document("order", "0.1.0", FOUND) == document("order", "0.1.0", FOUND)


def test_what_is_no_cyclonedx_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sbom, "JsonV1Dot6", lambda bom: type("Wrong", (), {"output_as_string": lambda self, indent: "{}"})()
    )

    with pytest.raises(ValueError, match=r"order: not CycloneDX 1\.6: 'bomFormat' is a required property$"):
        document("order", "0.1.0", FOUND)
