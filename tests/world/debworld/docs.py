"""Licence and change log of a package, from what Debian keeps under /usr/share/doc."""

import datetime
import email.utils
import gzip
import re

from .mapping import evr

ENTRY = re.compile(r"^(?P<source>\S+) \((?P<version>[^)]+)\) .*?;.*$")
TRAILER = re.compile(r"^ -- (?P<who>.*?)  (?P<when>.+)$")
ENTRIES = 8


def licence(text):
    """The short names of a machine-readable copyright file; else where to read the licence."""
    if text.lstrip().lower().startswith("format"):
        names = re.findall(r"^License:[ \t]*(\S.*)$", text, re.M)
        names = list(dict.fromkeys(re.sub(r"\s+", " ", name).strip() for name in names))
        if names:
            return " AND ".join(f"({name})" if " " in name else name for name in names[:8])
    return "see the file copyright"


def changelog(data):
    """The newest entries of a Debian change log (gzip data) as an RPM %changelog."""
    entries = []
    body, version, last = [], None, None
    for line in gzip.decompress(data).decode("utf-8", "replace").splitlines():
        if match := ENTRY.match(line):
            version, body = match["version"], []
        elif (match := TRAILER.match(line)) and version:
            try:
                when = email.utils.parsedate_to_datetime(match["when"]).date()
            except ValueError:
                break
            if last and when > last:  # rpmbuild wants them newest first
                break
            last = when
            entries.append(_entry(when, match["who"], version, body))
            version = None
            if len(entries) == ENTRIES:
                break
        elif line.strip():
            body.append(line)
    return "\n".join(entries)


def _entry(when: datetime.date, who, version, body):
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    lines = [f"* {days[when.weekday()]} {months[when.month - 1]} {when.day:02} {when.year} {who} - {evr(version)}"]
    for line in body[:40]:
        text = line.strip()
        lines.append("- " + text[1:].strip() if text[:1] == "*" else "  " + text)
    return "\n".join(lines)
