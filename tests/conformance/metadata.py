"""What renditions have beside their pixels: by their own structure, and by exiftool where it is installed."""

import json
import re
import shutil
import subprocess

import containers

# Of exiftool's tags, those that say where something is, and those that are no part of a picture itself.
PLACES = re.compile(r"GPS|Geolocation|geotag", re.IGNORECASE)
BESIDE = re.compile(r"(IFD\d|\w*IFD|GPS|XMP[^:]*|IPTC\d*|Photoshop|MakerNotes|MPF\d*|JUMBF):")


def exiftool(paths):
    """All tags of the files, by path; None where exiftool isn't installed."""
    if not shutil.which("exiftool"):
        return None
    listed = "\n".join(["-json", "-G1", "-a", "-n", "-q", "-q", *map(str, paths)])
    run = subprocess.run(["exiftool", "-@", "-"], input=listed, capture_output=True, text=True, check=False)
    return {entry["SourceFile"]: entry for entry in json.loads(run.stdout or "[]")}


def places(tags):
    """The tags that say where something is, with a value."""
    return sorted(tag for tag, value in tags.items() if PLACES.search(tag) and value not in ("", None))


def orientations(tags):
    return sorted(tag for tag, value in tags.items() if tag.endswith(":Orientation") and value not in (1, "1"))


def raw_places(data):
    """The same without exiftool: the names in XMP, and the pointer to GPS in EXIF (tag 0x8825, a LONG)."""
    marks = (b"GPSLatitude", b"GPSLongitude", b"\x88\x25\x00\x04\x00\x00\x00\x01", b"\x25\x88\x04\x00\x01\x00\x00\x00")
    return [mark.hex() if mark[0] > 127 or mark[1] > 127 else mark.decode() for mark in marks if mark in data]


def findings(rule, path, tags):
    """What a rendition made under a metadata rule has that it must not have."""
    with open(path, "rb") as file:
        data = file.read()
    found = []
    if rule == "none":
        found += [f"{name} under none" for name in containers.beside(data)]
        found += [f"{tag} under none" for tag in sorted(tags or {}) if BESIDE.match(tag)]
        # AVIF: exiftool reads it; without, the names of its items tell.
        if data[4:12] == b"ftypavif" and (b"Exif\0" in data[:4096] or b"rdf+xml" in data[:4096]):
            found.append("an item of metadata under none")
    if rule in ("none", "no-location"):
        found += [f"a place: {mark}" for mark in places(tags or {}) or raw_places(data)]
    found += [f"a turn: {tag}" for tag in orientations(tags or {})]
    return found
