"""What a PNG says of its colors in chunks that both peers pass over: `cICP`, and `gAMA` with `cHRM`."""

import struct

import numpy

import containers

# Rec. ITU-T H.273, tables 2 and 3: white, red, green, blue; all three have D65 for white.
D65 = (0.3127, 0.3290)
PRIMARIES = {
    1: (D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
TO_LIGHT = {
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    8: lambda v: v,
    13: lambda v: numpy.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4),
}
BRADFORD = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def of(data):
    """The primaries and the way to light that a PNG's own chunks ask for; None where a peer can be taken at its word."""
    kind, parts = containers.parts(data)
    if kind != "png":
        return None
    chunks = dict(reversed(parts))
    coded = chunks.get("cICP", b"")
    if len(coded) == 4 and coded[2] == 0 and coded[0] in PRIMARIES and coded[1] in TO_LIGHT:
        return PRIMARIES[coded[0]], TO_LIGHT[coded[1]]
    if "iCCP" in chunks or "sRGB" in chunks or len(chunks.get("cHRM", b"")) != 32 or len(chunks.get("gAMA", b"")) != 4:
        return None
    gamma = struct.unpack(">I", chunks["gAMA"])[0] / 100_000
    if not gamma:
        return None
    points = [value / 100_000 for value in struct.unpack(">8I", chunks["cHRM"])]
    return tuple(zip(points[::2], points[1::2])), lambda v: v ** (1 / gamma)


def applied(picture, colors):
    """An RGBA picture of 8 bits in sRGB, given what `of` found: adapted to D65 by Bradford's matrix, clipped."""
    primaries, to_light = colors
    source, srgb = to_xyz(primaries), to_xyz(PRIMARIES[1])
    matrix = numpy.linalg.inv(srgb) @ adaptation(primaries[0], D65) @ source
    light = numpy.clip(to_light(picture[..., :3] / 255.0) @ matrix.T, 0, 1)
    stored = numpy.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    out = picture.copy()
    out[..., :3] = numpy.rint(stored * 255)
    return out


def xyz(point):
    x, y = point
    return numpy.array([x / y, 1, (1 - x - y) / y])


def to_xyz(primaries):
    white, *colors = primaries
    columns = numpy.stack([xyz(color) for color in colors], axis=1)
    return columns * numpy.linalg.solve(columns, xyz(white))


def adaptation(white, wanted):
    cones = (BRADFORD @ xyz(wanted)) / (BRADFORD @ xyz(white))
    return numpy.linalg.inv(BRADFORD) @ numpy.diag(cones) @ BRADFORD
