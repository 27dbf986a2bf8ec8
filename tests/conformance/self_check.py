"""Whether the comparer tells a wrong picture from a right one: each mistake that it is there for, made on purpose."""

import io
import pathlib
import tempfile

import numpy
from PIL import Image, ImageCms

import containers
import difference
import judgement
import metadata
import peers
import png_colors
import sources


def run():
    failed = [name for name, holds in checks() if not holds]
    for name in failed:
        print(f"The comparer is wrong: {name}")
    if not failed:
        print("The comparer tells right from wrong.")
    return 1 if failed else 0


def checks():
    yield from colors()
    yield from resampling()
    yield from animations()
    yield from beside()


def scene(width=120, height=90):
    """Curves, edges and saturated colors under transparency."""
    y, x = numpy.mgrid[0:height, 0:width]
    picture = numpy.zeros((height, width, 4), numpy.uint8)
    picture[..., 0] = 127 + 120 * numpy.sin(x / 9)
    picture[..., 1] = 127 + 120 * numpy.cos(y / 7)
    picture[..., 2] = (x * 2 + y) % 256
    picture[..., 3] = 255
    return picture


def source(kind):
    starts = {"png": b"\x89PNG\r\n\x1a\n" + bytes(16) + b"\x08\2", "jpeg": b"\xff\xd8", "gif": b"GIF89a" + bytes(8)}
    return sources.Source(starts[kind] + bytes(64))


def judged_full(ours, theirs, profile=False, kind="png"):
    return judgement.full(ours, theirs, "libvips", {"profile": profile}, source(kind))["verdict"]


def colors():
    right = scene()
    yield "equal pictures are equal", judged_full(right, right) == "ok"
    wrong = right.copy()
    wrong[40, 50, 1] ^= 1
    yield "one level in one pixel is off without a profile", judged_full(wrong, right) == "off"
    yield "one level in one pixel is fine with a profile", judged_full(wrong, right, True) == "ok"
    yield "turned colors are off", judged_full(right[..., [2, 1, 0, 3]].copy(), right, True) == "off"
    yield "a picture on its side is off", judged_full(numpy.rot90(right).copy(), right) == "off"
    yield "a picture upside down is off", judged_full(right[::-1].copy(), right) == "off"
    gone = right.copy()
    gone[..., 3] = 0
    yield "lost opacity is off", judged_full(gone, right) == "off"
    # Sharma, Wu and Dalal's test data, pairs 1, 7 and 17.
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ]
    for one, other, expected in pairs:
        found = float(difference.delta_e_2000(numpy.array(one, float), numpy.array(other, float)))
        yield f"deltaE 2000 of {one} and {other} is {expected}", abs(found - expected) < 1e-4
    # Display P3's red at half: the same by Little CMS from a profile and by our own arithmetic from chunks would need
    # a profile of P3; sRGB's own primaries are enough to see that nothing moves.
    srgb = (png_colors.PRIMARIES[1], png_colors.TO_LIGHT[13])
    yield "sRGB by its own primaries stays", (png_colors.applied(right, srgb) == right).all()
    yield "another gamma doesn't", judged_full(png_colors.applied(right, (srgb[0], png_colors.TO_LIGHT[5])), right, True) == "off"


def resampling():
    large = scene(400, 300)
    for peer, resize in peers.RESIZE.items():
        right = resize(large, (200, 150))
        yield f"{peer} agrees with itself", judgement.small(right, large, peer)["verdict"] == "ok"
        # Half a pixel of the source: what taking every second pixel is off by.
        moved = resize(numpy.roll(large, 1, axis=1) // 2 + large // 2, (200, 150))
        yield f"{peer} sees half a pixel of shift", judgement.small(moved, large, peer)["verdict"] == "off"
        found = difference.shift(resize(numpy.roll(large, 2, axis=0), (200, 150)), right)
        yield "a shift of one pixel down is measured", abs(found[1] - 1) < 0.3 and abs(found[0]) < 0.1
        clear = large.copy()
        clear[100:200, 100:300] = (255, 0, 255, 0)
        apart = numpy.stack(
            [numpy.asarray(Image.fromarray(clear[..., band]).resize((200, 150), Image.LANCZOS)) for band in range(4)],
            axis=2,
        )
        yield f"{peer} sees halos", judgement.small(apart, clear, peer)["verdict"] == "off"
        yield f"{peer} makes none", judgement.small(resize(clear, (200, 150)), clear, peer)["verdict"] == "ok"
    white = peers.rgba(numpy.full((30, 30), 255, numpy.uint8), 255)
    clear = white.copy()
    clear[..., :3], clear[..., 3] = 0, 0
    yield "transparent over white is white", judgement.flat(white, clear)["verdict"] == "ok"
    yield "transparent over black is off", judgement.flat(white // 255 * numpy.uint8([0, 0, 0, 255]), clear)["verdict"] == "off"


def animations():
    one, two = scene(), scene()[::-1].copy()
    right = [one, two], [100, 200], 0
    cases = {
        "the same animation is fine": (right, "ok"),
        "two equal frames are one that lasts longer": (([one, one, two], [40, 60, 200], 0), "ok"),
        "a lost frame is off": (([one], [300], 0), "off"),
        "frames in another order are off": (([two, one], [100, 200], 0), "off"),
        "another delay is off": (([one, two], [100, 100], 0), "off"),
        "other plays are off": (([one, two], [100, 200], 1), "off"),
    }
    for name, (ours, expected) in cases.items():
        yield name, judgement.frames(ours, right, "frames", source("gif"))["verdict"] == expected


def beside():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "picture"
        exif = Image.Exif()
        exif[0x0112] = 6
        exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        image = Image.fromarray(scene()[..., :3])
        for kind in ("JPEG", "PNG", "WEBP"):
            image.save(path, kind)
            yield f"a bare {kind} has nothing beside it", not metadata.findings("none", path, {})
            image.save(path, kind, icc_profile=icc)
            yield f"the profile of a {kind} is found", containers.profile(path.read_bytes()) == icc
            image.save(path, kind, exif=exif)
            yield f"EXIF in a {kind} is found", any("under none" in leak for leak in metadata.findings("none", path, {}))
            kept = metadata.findings("no-location", path, {})
            yield f"a place in a {kind} is found without exiftool", any("a place" in leak for leak in kept)
            tags = (metadata.exiftool([path]) or {}).get(str(path))
            if tags:
                yield f"a turn in a {kind} is found by exiftool", any(
                    "a turn" in leak for leak in metadata.findings("keep", path, tags)
                )
        image.save(path, "JPEG", comment=b"a comment")
        yield "a comment is found", metadata.findings("none", path, {}) == ["COM under none"]
        path.write_bytes(path.read_bytes() + b"more")
        yield "bytes behind the end are found", len(metadata.findings("none", path, {})) == 2
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", exif=exif)
        path.write_bytes(buffer.getvalue())
        upright = peers.pillow(path)[0]
        yield "peers turn a picture", upright.shape[:2] == (120, 90) and peers.vips(path)[0].shape[:2] == (120, 90)
        yield "a picture left on its side is off", judged_full(peers.rgba(numpy.asarray(Image.open(path)), 255), upright) == "off"
