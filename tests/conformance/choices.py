"""Where Pixmill and a peer are known to differ, by what the files have in common: each with its reason.

A difference that is explained here is counted as a choice and shown as one. What concerns single files is in
`exceptions.json`.
"""

import numpy


def choice(reason):
    return {"verdict": "choice", "reason": reason}


def of_size(source, ours, theirs):
    """The peer's picture has other sides."""
    if source.kind == "gif" and ours.shape[:2] == source.gif_screen():
        return choice("a GIF's picture is as large as its screen; peers go by the first frame where that is larger or the version 87a")
    return {}


def of_pixels(source, peer, ours, theirs):
    """The peer's picture is as large, and other."""
    apart = (ours != theirs).any(axis=2)
    colors = (ours[..., :3] != theirs[..., :3]).any(axis=2)
    if source.kind == "gif" and not ours[apart][:, 3].any() and not apart[source.gif_first_frame()].any():
        return choice("what no frame of a GIF covers is transparent; peers make some of it black or the background")
    shades = numpy.abs(ours[..., :3].astype(numpy.int16) - theirs[..., :3])[ours[..., 3] > 0]
    if source.kind == "bmp" and peer == "pillow" and not (shades > 1).any() and (theirs[..., 3] == 255).all():
        return choice("Pillow reads no alpha in a BMP of this kind")
    if source.kind == "bmp" and peer == "pillow" and source.data[14:15] == b"\x7c" and source.data[70:74] == b"DEBM":
        return choice("Pillow reads no profile in a BMP")
    if source.kind == "png" and peer == "pillow" and source.data[24:26] in (b"\x02\0", b"\x04\0") and not colors.any():
        return choice("Pillow looks for the transparent gray of 2 or 4 bits among tones that it has spread to 8")
    return {}


def of_refusal(message, accepted):
    """Both peers read what we refuse."""
    if accepted:
        return choice("damaged, which peers don't mind; with damaged = \"accept\" it is read")
    if "pixels are stored as YCbCr" in message:
        return choice("TIFF in YCbCr without JPEG is refused, and the message says how to save it")
    return {}
