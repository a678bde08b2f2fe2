"""Conditional requests (RFC 9110, section 13): does the client hold this representation already?

Owns the reading of entity tags and HTTP dates. What it cannot read is as good as absent: nothing here raises.
"""

import re
import time
from calendar import monthrange, timegm
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_IMF = re.compile(  # Sun, 06 Nov 1994 08:49:37 GMT
    r"[a-z]{3}, (?P<day>\d\d) (?P<month>[a-z]{3}) (?P<year>\d{4}) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d) gmt", re.ASCII
)
_RFC850 = re.compile(  # Sunday, 06-Nov-94 08:49:37 GMT
    r"[a-z]{6,9}, (?P<day>\d\d)-(?P<month>[a-z]{3})-(?P<year>\d\d) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d) gmt", re.ASCII
)
_ASCTIME = re.compile(  # Sun Nov  6 08:49:37 1994
    r"[a-z]{3} (?P<month>[a-z]{3}) (?P<day>[ \d]\d) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d) (?P<year>\d{4})", re.ASCII
)
_TAG = re.compile(r'[ \t]*(?:(?P<weak>W/)?(?P<opaque>"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|\Z)')
_LONGEST_DATE: Final = 64  # characters, white space included; longer ones are no dates, and are not remembered
_LONGEST_LIST: Final = 8_192


@dataclass(frozen=True, slots=True)
class EntityTag:
    """`opaque` with its quotes. A weak one says `equivalent`, a strong one `byte for byte`."""

    opaque: str
    weak: bool = False


def http_date(text: str | None) -> float | None:
    """Seconds since 1970 of any of the three forms (RFC 9110, 5.6.7), letters of either case; None for what is none.

    A two-digit year is at most 50 years from now, else one of the past.
    """
    return None if not text or len(text) > _LONGEST_DATE else _date(text)


@lru_cache(maxsize=1024)
def _date(text: str) -> float | None:
    low = text.strip(" \t").lower()
    match = _IMF.fullmatch(low) or _RFC850.fullmatch(low) or _ASCTIME.fullmatch(low)
    if match is None or match["month"] not in _MONTHS:
        return None
    year, month, day = int(match["year"]), _MONTHS.index(match["month"]) + 1, int(match["day"])
    if len(match["year"]) == 2:
        latest = time.gmtime().tm_year + 50
        year = latest - (latest - year) % 100
    hour, minute, second = int(match["h"]), int(match["m"]), int(match["s"])
    if not (year >= 1900 and 1 <= day <= monthrange(year, month)[1] and hour <= 23 and minute <= 59 and second <= 60):
        return None
    return float(timegm((year, month, day, hour, minute, second)))


def format_http_date(seconds: float) -> bytes:
    """`Sun, 06 Nov 1994 08:49:37 GMT`."""
    return formatdate(seconds, usegmt=True).encode()


def entity_tag(text: str | None) -> EntityTag | None:
    """The one tag of an `ETag` field, or None."""
    tags = entity_tags(text)
    return tags[0] if len(tags) == 1 else None


def entity_tags(text: str | None) -> list[EntityTag]:
    """The tags of a list; empty where any part of it is no tag, so that half of a broken list decides nothing. Nor does
    one of more than 8 KiB."""
    tags, position, text = [], 0, text or ""
    if len(text) > _LONGEST_LIST:
        return []
    while position < len(text):
        match = _TAG.match(text, position)
        if match is None:
            return []
        if match["opaque"] is not None:
            tags.append(EntityTag(match["opaque"], match["weak"] is not None))
        position = match.end()
    return tags


def not_modified(
    *,
    if_none_match: str | None,
    if_modified_since: str | None,
    etag: str | None,
    last_modified: float | None,
) -> bool:
    """Whether a GET or HEAD that would be answered 2xx is answered 304 (RFC 9110, 13.2.2).

    `If-None-Match` compares weakly, and where it is there, `If-Modified-Since` is not looked at. `*` matches whatever
    exists.
    """
    if if_none_match is not None:
        if if_none_match.strip(" \t") == "*":
            return True
        mine = entity_tag(etag)
        return mine is not None and any(mine.opaque == theirs.opaque for theirs in entity_tags(if_none_match))
    since = http_date(if_modified_since)
    return since is not None and last_modified is not None and last_modified <= since
