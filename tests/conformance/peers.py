"""What Pillow and libvips make of a source, each by its own decoders. Nothing here knows how Pixmill does it."""

import io
import os

import numpy
import pyvips
from PIL import Image, ImageCms, ImageOps

# Bombs are for the sweeps; here a peer that refuses a large photo would only be one eye less.
Image.MAX_IMAGE_PIXELS = 300_000_000
# One thread a worker: there are as many workers as cores.
pyvips.concurrency_set(1) if hasattr(pyvips, "concurrency_set") else os.environ.setdefault("VIPS_CONCURRENCY", "1")

SRGB = ImageCms.createProfile("sRGB")


class Unread(Exception):
    """A peer doesn't read this source, or reads it as something that can't be compared."""


def narrowed(samples):
    """16 bits to 8, rounded: 65,535 is 255."""
    return ((samples.astype(numpy.uint32) + 128) // 257).astype(numpy.uint8)


def rgba(array, most):
    """Any of gray, gray with alpha, RGB, RGBA as RGBA."""
    if array.ndim == 2:
        array = array[..., None]
    bands = array.shape[2]
    if bands in (1, 2):
        array = numpy.concatenate([array[..., :1]] * 3 + [array[..., 1:]], axis=2)
    if array.shape[2] == 3:
        opaque = numpy.full(array.shape[:2] + (1,), most, array.dtype)
        array = numpy.concatenate([array, opaque], axis=2)
    return numpy.ascontiguousarray(array[..., :4])


# ---- Pillow --------------------------------------------------------------------------------------------------------


def pillow_open(path):
    try:
        image = Image.open(path)
        image.load()
    except Exception as error:  # whatever a decoder says is its refusal
        raise Unread(f"{type(error).__name__}: {error}") from error
    return image


def pillow(path):
    """The first picture of a file, upright, in sRGB: RGBA of 8 bits, and what there was to know of it."""
    image = pillow_open(path)
    try:
        about = {
            "format": image.format,
            "mode": image.mode,
            "frames": getattr(image, "n_frames", 1),
            "orientation": image.getexif().get(0x0112, 1),
            "profile": bool(image.info.get("icc_profile")),
        }
        return pillow_rgba(ImageOps.exif_transpose(image), about), about
    except Exception as error:
        raise Unread(f"{type(error).__name__}: {error}") from error


def pillow_rgba(image, about):
    icc = image.info.get("icc_profile")
    see_through = image.info.get("transparency")
    if image.mode.startswith("I;16") or image.mode == "I":
        deep = numpy.asarray(image).astype(numpy.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise Unread(f"mode {image.mode} with more than 16 bits")
        alpha = None
        if isinstance(see_through, int):
            alpha = Image.fromarray(numpy.where(deep == see_through, 0, 255).astype(numpy.uint8))
        image = Image.fromarray(narrowed(deep))
    elif image.mode in ("F", "LAB", "HSV"):
        raise Unread(f"mode {image.mode}")
    else:
        if image.mode in ("P", "PA", "La", "RGBa", "RGBX", "YCbCr") or see_through is not None:
            image = image.convert("RGB" if image.mode in ("RGBX", "YCbCr") else "RGBA")
        elif image.mode == "1":
            image = image.convert("L")
        alpha = image.getchannel("A") if "A" in image.getbands() else None
    colors = image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    if icc:
        colors = pillow_managed(colors, icc, about)
    picture = rgba(numpy.asarray(colors.convert("RGB")), 255)
    if alpha is not None:
        picture[..., 3] = numpy.asarray(alpha)
    return picture


def pillow_managed(colors, icc, about):
    """By Little CMS, relative colorimetric, without black point compensation: as Pixmill documents its own."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        about["space"] = space
        if space == "RGB" and colors.mode == "L":
            colors = colors.convert("RGB")
        if (space, colors.mode) not in (("RGB", "RGB"), ("GRAY", "L"), ("CMYK", "CMYK")):
            about["unusable"] = f"a profile for {space}, pixels of {colors.mode}"
            return colors
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.profileToProfile(colors, profile, SRGB, renderingIntent=intent, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        about["unusable"] = str(error)
        return colors


def pillow_frames(path):
    """Every frame as a player shows it, their milliseconds, and how often they are played (0: for ever)."""
    image = pillow_open(path)
    count = getattr(image, "n_frames", 1)
    # A PNG's still picture that is no frame comes first.
    first = 1 if image.info.get("default_image") else 0
    frames, delays = [], []
    plays = image.info.get("loop")
    try:
        for index in range(first, count):
            image.seek(index)
            # Loading comes first: it is what finds the delay of a WebP's frame.
            frames.append(rgba(numpy.asarray(image.convert("RGBA")), 255))
            delays.append(int(round(image.info.get("duration", 0) or 0)))
    except Exception as error:
        raise Unread(f"{type(error).__name__}: {error}") from error
    if image.format == "GIF":
        # Pillow gives the number in the file: none is one play, and n is n repetitions.
        plays = 1 if plays is None else (0 if plays == 0 else plays + 1)
    return frames, delays, plays or 0


# ---- libvips -------------------------------------------------------------------------------------------------------


def vips_open(path):
    try:
        # What is damaged is refused, as Pixmill does by default.
        image = pyvips.Image.new_from_file(os.fspath(path), fail_on="error")
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Unread("too large to compare")
        image = image.copy_memory().autorot()
    except pyvips.Error as error:
        raise Unread(" ".join(str(error).split())) from error
    if image.format not in ("uchar", "ushort") or image.bands > 5:
        raise Unread(f"samples of {image.format}, {image.bands} bands")
    return image


def vips(path):
    """The first picture of a file, upright, in sRGB: RGBA of 8 bits, and what there was to know of it."""
    image = vips_open(path)
    has_profile = image.get_typeof("icc-profile-data") != 0
    about = {"interpretation": image.interpretation, "depth": image.format, "profile": has_profile}
    inks = image.interpretation == "cmyk"
    alpha = None
    if image.hasalpha():
        alpha = eight(image[image.bands - 1])
        image = image[: image.bands - 1]
    if has_profile:
        try:
            # 16 bits, so that only one rounding is left, which is done here.
            deep = image.icc_transform("srgb", embedded=True, intent="relative", depth=16)
            colors = narrowed(samples_of(deep))
        except pyvips.Error as error:
            about["unusable"] = " ".join(str(error).split())
            if inks:
                raise Unread(about["unusable"]) from error
            colors = eight(image)
    elif inks:
        raise Unread("inks without a profile: libvips puts one of its own there")
    else:
        colors = eight(image)
    picture = rgba(colors, 255)
    if alpha is not None:
        picture[..., 3:] = alpha
    return picture, about


def samples_of(image):
    """Height, width and bands, also of a single pixel, for which pyvips has shapes of its own."""
    return image.numpy().reshape(image.height, image.width, image.bands)


def eight(image):
    samples = samples_of(image)
    return narrowed(samples) if samples.dtype == numpy.uint16 else samples


def vips_numbers(path):
    """The numbers as they are stored, upright, RGBA of 16 bits (8 become 257 times as much); never inks."""
    image = vips_open(path)
    if image.interpretation == "cmyk":
        raise Unread("inks")
    samples = samples_of(image)
    if samples.dtype == numpy.uint8:
        samples = samples.astype(numpy.uint16) * 257
    return rgba(samples, 65535)


def vips_resized(picture, size):
    """An RGBA picture at another size: Lanczos with three lobes, over premultiplied colors where any of it is transparent."""
    opaque = picture[..., 3].min() == 255
    image = pyvips.Image.new_from_array(picture[..., :3] if opaque else picture).copy(interpretation="srgb")
    # In floats: the weights that libvips has for bytes have 6 bits, which shows in means when there are many of them.
    image = image.cast("float") if opaque else image.premultiply()
    # gap = 0: the filter alone, without the box that libvips puts before it for speed.
    image = image.resize(size[0] / image.width, vscale=size[1] / image.height, kernel="lanczos3", gap=0)
    image = image if opaque else image.unpremultiply()
    return rgba(numpy.clip(numpy.rint(samples_of(image)), 0, 255).astype(numpy.uint8), 255)


def pillow_resized(picture, size):
    """The same by Pillow, which premultiplies by itself."""
    opaque = picture[..., 3].min() == 255
    image = Image.fromarray(picture[..., :3] if opaque else picture)
    return rgba(numpy.asarray(image.resize(size, Image.Resampling.LANCZOS)), 255)


RESIZE = {"pillow": pillow_resized, "libvips": vips_resized}


def profile_of(path):
    """The profile that a source embeds, as Pillow finds it, or libvips."""
    try:
        with Image.open(path) as image:
            # Of some formats it is known only after the pixels.
            return image.info.get("icc_profile") or None
    except Exception:
        return None


VERSIONS = {
    "Pillow": Image.__version__,
    "libvips": ".".join(str(pyvips.version(part)) for part in range(3)),
}
