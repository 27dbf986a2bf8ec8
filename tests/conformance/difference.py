"""How far two pictures are apart: in samples, in deltaE 2000, and in place."""

import numpy

# Above this many pixels, deltaE is taken of evenly spaced ones: the mean hardly moves, and a photo takes a second.
SAMPLED = 400_000


def between(ours, theirs):
    """The figures of two RGBA pictures of the same size, 8 bits a channel.

    `max` is the largest difference of any color channel where either picture shows something, `alpha` of alpha; `mean`
    and `most` are deltaE 2000 over white: its mean, and what 999 of 1,000 pixels stay below.
    """
    if numpy.array_equal(ours, theirs):
        return {"max": 0, "alpha": 0, "mean": 0.0, "most": 0.0}
    apart = numpy.abs(ours.astype(numpy.int16) - theirs)
    shown = (ours[..., 3] > 0) | (theirs[..., 3] > 0)
    colors = apart[..., :3].max(axis=2)
    figures = {"max": int((colors * shown).max()), "alpha": int(apart[..., 3].max())}
    if figures["max"] == 0 and figures["alpha"] == 0:
        return figures | {"mean": 0.0, "most": 0.0}
    step = max(1, round((ours.shape[0] * ours.shape[1] / SAMPLED) ** 0.5))
    delta = delta_e_2000(
        lab(over(ours[::step, ::step], 255)), lab(over(theirs[::step, ::step], 255))
    )
    figures["mean"] = round(float(delta.mean()), 4)
    figures["most"] = round(float(numpy.quantile(delta, 0.999)), 4)
    return figures


def over(picture, background):
    """RGB of an RGBA picture over a gray background, as floats of 0 to 255."""
    alpha = picture[..., 3:].astype(numpy.float32) / 255
    return picture[..., :3] * alpha + background * (1 - alpha)


def halo(ours, theirs):
    """The mean difference where either picture is half transparent, over black or over white, whichever shows more."""
    edge = numpy.logical_or(*((0 < picture[..., 3]) & (picture[..., 3] < 255) for picture in (ours, theirs)))
    if not edge.any():
        return 0.0
    apart = [numpy.abs(over(ours, ground) - over(theirs, ground))[edge].mean() for ground in (0, 255)]
    return round(float(max(apart)), 3)


def lab(rgb):
    """sRGB (IEC 61966-2-1), floats of 0 to 255, to CIE L*a*b* under D65."""
    rgb = rgb.astype(numpy.float32) / 255
    linear = numpy.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ numpy.array(to_xyz, numpy.float32).T / numpy.array([0.95047, 1, 1.08883], numpy.float32)
    f = numpy.where(xyz > 216 / 24389, numpy.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return numpy.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def delta_e_2000(one, other):
    """Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", 2005; all weights 1."""
    l1, a1, b1 = (one[..., i].astype(numpy.float64) for i in range(3))
    l2, a2, b2 = (other[..., i].astype(numpy.float64) for i in range(3))
    chroma = (numpy.hypot(a1, b1) + numpy.hypot(a2, b2)) / 2
    g = 0.5 * (1 - numpy.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = numpy.hypot(a1, b1), numpy.hypot(a2, b2)
    h1, h2 = numpy.degrees(numpy.arctan2(b1, a1)) % 360, numpy.degrees(numpy.arctan2(b2, a2)) % 360
    gray = c1 * c2 == 0
    dh = numpy.where(gray, 0, (h2 - h1 + 180) % 360 - 180)
    dl, dc = l2 - l1, c2 - c1
    big_dh = 2 * numpy.sqrt(c1 * c2) * numpy.sin(numpy.radians(dh / 2))
    far = numpy.abs(h1 - h2) > 180
    h = numpy.where(gray, h1 + h2, numpy.where(far, (h1 + h2 + 360) / 2 % 360, (h1 + h2) / 2))
    l, c = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * numpy.cos(numpy.radians(h - 30))
        + 0.24 * numpy.cos(numpy.radians(2 * h))
        + 0.32 * numpy.cos(numpy.radians(3 * h + 6))
        - 0.20 * numpy.cos(numpy.radians(4 * h - 63))
    )
    sl = 1 + 0.015 * (l - 50) ** 2 / numpy.sqrt(20 + (l - 50) ** 2)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t
    rc = 2 * numpy.sqrt(c**7 / (c**7 + 25.0**7))
    rt = -numpy.sin(numpy.radians(60 * numpy.exp(-(((h - 275) / 25) ** 2)))) * rc
    square = (dl / sl) ** 2 + (dc / sc) ** 2 + (big_dh / sh) ** 2 + rt * (dc / sc) * (big_dh / sh)
    return numpy.sqrt(numpy.maximum(square, 0))


def shift(ours, theirs):
    """How many pixels to the right and down `ours` lies beside `theirs` (RGBA), by least squares over brightness.

    None where a picture is too small or too even to tell. Holds for shifts below a pixel, which is what a resampler with
    a wrong idea of a pixel's middle makes.
    """
    if min(ours.shape[:2]) < 16:
        return None
    one, other = (over(picture, 128) @ numpy.array([0.299, 0.587, 0.114]) for picture in (ours, theirs))
    down, right = numpy.gradient((one + other) / 2)
    inner = (slice(2, -2), slice(2, -2))
    slopes = numpy.stack([right[inner].ravel(), down[inner].ravel()], axis=1)
    normal = slopes.T @ slopes
    # A slope of at least one level a pixel on average, in every direction.
    if numpy.linalg.eigvalsh(normal)[0] < len(slopes):
        return None
    moved = numpy.linalg.solve(normal, slopes.T @ (other - one)[inner].ravel())
    return [round(float(moved[0]), 3) + 0.0, round(float(moved[1]), 3) + 0.0]
