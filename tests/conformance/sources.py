"""What can be told of a source by its own bytes, as far as it decides how exact a comparison can be."""

import struct

import judgement


class Source:
    def __init__(self, data):
        self.data = data
        self.kind = kind(data)

    def gif_screen(self):
        """Height and width of a GIF's logical screen."""
        width, height = struct.unpack("<HH", self.data[6:10])
        return height, width

    def gif_first_frame(self):
        """Rows and columns of a GIF's screen that its first frame covers, as slices."""
        at = 13 + table_bytes(self.data[10])
        while self.data[at : at + 1] == b"!":
            at += 2
            while self.data[at]:
                at += 1 + self.data[at]
            at += 1
        left, top, width, height = struct.unpack_from("<HHHH", self.data, at + 1)
        return slice(top, top + height), slice(left, left + width)

    def bounds(self, peer):
        """How far a peer's pixels may be apart where no color is converted."""
        data = self.data
        if self.kind == "tiff":
            tags = first_directory(data)
            if tags.get(259, [1])[0] in (6, 7):
                return judgement.OTHER_DECODER
            if 1 in tags.get(338, []):
                return judgement.PREMULTIPLIED
            return judgement.CUT_DEPTH if peer == "pillow" and max(tags.get(258, [8])) > 8 else judgement.EXACT
        if self.kind == "bmp":
            return judgement.FEW_BITS if data[28:30] in (b"\x10\0", b"\x20\0") else judgement.EXACT
        if self.kind == "png" and peer == "pillow" and data[24:25] == b"\x10":
            return judgement.CUT_DEPTH
        if self.kind == "pnm" and peer == "pillow":
            return judgement.CUT_DEPTH
        if self.kind is None:
            # Nothing in its first bytes says that it is a TGA.
            return judgement.FEW_BITS
        return judgement.EXACT


def table_bytes(flags):
    """The size of a GIF's color table, by the byte that announces it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def kind(data):
    for magic, name in (
        (b"\xff\xd8", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF8", "gif"),
        (b"BM", "bmp"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"\0\0\1\0", "ico"),
        (b"qoif", "qoi"),
    ):
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return "pnm" if data[:1] == b"P" and data[1:2] in b"1234567" else None


def first_directory(data):
    """The tags of a classic TIFF's first page whose values are SHORT; empty for others."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack(order + "H", data[2:4])[0] != 42:
        return {}
    tags = {}
    try:
        at = struct.unpack(order + "I", data[4:8])[0]
        for entry in range(struct.unpack_from(order + "H", data, at)[0]):
            tag, kind, count = struct.unpack_from(order + "HHI", data, at + 2 + 12 * entry)
            if kind == 3 and count < 64:
                place = at + 10 + 12 * entry
                if count > 2:
                    place = struct.unpack_from(order + "I", data, place)[0]
                tags[tag] = list(struct.unpack_from(f"{order}{count}H", data, place))
    except struct.error:
        pass
    return tags
