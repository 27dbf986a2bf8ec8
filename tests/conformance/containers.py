"""What a file of JPEG, PNG or WebP has beside its pixels, read from its own structure and by no decoder."""

import struct
import zlib

# What belongs to the picture itself. Everything else in a rendition is metadata.
#
# JPEG: APP0 states the resolution (JFIF), APP14 the colors (Adobe). PNG: pHYs states the resolution.
PICTURE = {
    "jpeg": {"SOI", "APP0", "APP14", "DQT", "DHT", "DRI", "SOF", "SOS", "EOI"},
    "png": {"IHDR", "PLTE", "tRNS", "IDAT", "IEND", "pHYs", "sRGB", "acTL", "fcTL", "fdAT"},
    "webp": {"VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"},
}


def parts(data):
    """The kind of file and the (name, payload) of its parts, in order; nothing for other files."""
    if data[:2] == b"\xff\xd8":
        return "jpeg", list(jpeg(data))
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png", list(png(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp", list(webp(data))
    return None, []


def jpeg(data):
    at = 0
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            yield "bytes between segments", data[at : at + 16]
            return
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xD8:
            yield "SOI", b""
            at += 2
        elif marker == 0xD9:
            yield "EOI", b""
            if data[at + 2 :]:
                yield "bytes behind the end", data[at + 2 :][:16]
            return
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            yield jpeg_name(marker), data[at + 4 : at + 2 + length]
            at += 2 + length
            if marker == 0xDA:
                at = end_of_scan(data, at)


def jpeg_name(marker):
    if 0xE0 <= marker <= 0xEF:
        return f"APP{marker - 0xE0}"
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
        return "SOF"
    return {0xC4: "DHT", 0xDB: "DQT", 0xDD: "DRI", 0xDA: "SOS", 0xFE: "COM"}.get(marker, f"marker {marker:#x}")


def end_of_scan(data, at):
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2


def png(data):
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + 8 + length]
        at += 12 + length


def webp(data):
    at = 12
    while at + 8 <= len(data):
        length = struct.unpack("<I", data[at + 4 : at + 8])[0]
        yield data[at : at + 4].decode("latin-1"), data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def profile(data):
    """The color profile that a file carries; none, or in pieces that don't fit together, is None."""
    kind, found = parts(data)
    if kind == "jpeg":
        prefix = b"ICC_PROFILE\0"
        pieces = sorted(piece[12:] for name, piece in found if name == "APP2" and piece.startswith(prefix))
        return b"".join(piece[2:] for piece in pieces) or None
    if kind == "png":
        chunk = next((chunk for name, chunk in found if name == "iCCP"), None)
        return chunk and zlib.decompress(chunk[chunk.index(b"\0") + 2 :])
    if kind == "webp":
        return next((chunk for name, chunk in found if name == "ICCP"), None)
    return None


def beside(data):
    """The names of what is neither picture nor profile."""
    kind, found = parts(data)
    known = PICTURE.get(kind, set()) | {"iCCP", "ICCP"}
    return [
        name
        for name, piece in found
        if name not in known and not (name == "APP2" and piece.startswith(b"ICC_PROFILE\0"))
    ]
