"""What is held against what, and how far apart it may be. Every tolerance stands here, with its reason."""

import numpy

import choices
import difference
import peers
import png_colors

# Without a profile nothing is computed, so every sample must be the same. This holds for JPEG too, where all three
# decode by libjpeg-turbo's accurate inverse transform and spread chroma by its filter, and for lossy WebP, whose format
# leaves nothing open.
EXACT = {"max": 0, "alpha": 0}
# Pillow reads the upper 8 of 16 bits where we round.
CUT_DEPTH = {"max": 1, "alpha": 1}
# 5 and 6 bits a channel (BMP, TGA) become 8 by rounding here and by cutting off there.
FEW_BITS = {"max": 1, "alpha": 0}
# A TIFF whose colors are stored multiplied by alpha: both peers cut off where we round.
PREMULTIPLIED = {"max": 1, "alpha": 0}
# JPEG within TIFF: ours is a decoder of its own, which rounds and spreads chroma otherwise.
OTHER_DECODER = {"mean": 0.3, "most": 4.0, "alpha": 0}
# With a profile, ours is computed by moxcms and theirs by Little CMS: the bound of what people can tell apart (a deltaE
# of 1) on average; single pixels, at the border of what sRGB can show, may be clipped otherwise.
MANAGED = {"mean": 1.0, "most": 5.0, "alpha": 0}
# Resampled: rounding after either pass, and which pass comes first (libvips: down, then across; Pillow and we: across,
# then down), as overshoot beyond black and white is cut off between the two. By that, the peers are as far from each
# other as we from them.
RESIZED = {"mean": 0.6, "most": 8.0, "alpha": 16}
# The mean difference over black and over white along the edges of what is transparent, in levels. Without
# premultiplication it is 20 and more.
HALO = 3.0
# In pixels of the output. A wrong idea of where a pixel's middle is moves everything by half a pixel of the source: 0.1
# and more of the output's for all sources below five times the rendition's size.
SHIFT = 0.05
# A JPEG of quality 95 over white, against the lossless rendition of the same size laid over white by us: in levels.
FLAT = 4.0
# Milliseconds for each frame: a delay in a PNG is any fraction of a second, Pillow and WebP have whole milliseconds.
DELAY = 1


def verdict(figures, bounds):
    """Whether figures keep within bounds."""
    return "ok" if all(figures[name] <= most for name, most in bounds.items()) else "off"


def finding(what, peer, verdict, **figures):
    return {"what": what, "peer": peer, "verdict": verdict} | figures


def full(ours, theirs, peer, about, source):
    """The rendition of every pixel."""
    note = {}
    if about.get("profile") and not about.get("unusable"):
        bounds = MANAGED
    elif colors := png_colors.of(source.data):
        theirs = png_colors.applied(theirs, colors)
        bounds, note = MANAGED, {"note": "by the PNG's own cICP, or gAMA with cHRM"}
    else:
        bounds = source.bounds(peer)
    if ours.shape != theirs.shape:
        figures = {"mean": 100.0, "note": f"{sides(ours)} and {sides(theirs)}"}
        return finding("full", peer, "off", **figures) | choices.of_size(source, ours, theirs)
    figures = difference.between(ours, theirs)
    found = finding("full", peer, verdict(figures, bounds), **figures, **note)
    return found | (choices.of_pixels(source, peer, ours, theirs) if found["verdict"] == "off" else {})


def sides(picture):
    return f"{picture.shape[1]} x {picture.shape[0]}"


def small(ours, theirs, peer):
    """The resampled rendition, against the peer's full picture resampled by the same peer."""
    size = ours.shape[1], ours.shape[0]
    if (theirs.shape[1], theirs.shape[0]) == size:
        return None
    theirs = peers.RESIZE[peer](theirs, size)
    figures = difference.between(ours, theirs)
    moved = difference.shift(ours, theirs)
    word = verdict(figures, RESIZED)
    if moved and max(map(abs, moved)) > SHIFT:
        word = "off"
    halo = 0.0
    if ours[..., 3].min() < 255:
        halo = difference.halo(ours, theirs)
        word = word if halo <= HALO else "off"
    return finding("small", peer, word, **figures, halo=halo, shift=moved)


def flat(ours, small):
    """A JPEG of something transparent, over white."""
    apart = float(numpy.abs(ours[..., :3] - difference.over(small, 255)).mean())
    return finding("flat", "itself over white", "ok" if apart <= FLAT else "off", levels=round(apart, 3))


def numbers(ours, theirs, source, warnings):
    """16 bits a channel, no color touched."""
    if ours.shape != theirs.shape:
        found = finding("numbers", "libvips", "off", note=f"{sides(ours)} and {sides(theirs)}")
        return found | choices.of_size(source, ours, theirs)
    bounds = source.bounds("libvips")
    if "max" not in bounds:
        return None
    most = int(numpy.abs(ours.astype(numpy.int32) - theirs).max())
    found = finding("numbers", "libvips", "ok" if most <= 257 * bounds["max"] else "off", max=most)
    if found["verdict"] == "off" and any(warning["code"] == "depth-reduced" for warning in warnings):
        return found | choices.choice("frames are composed in 8 bits, and a warning says so")
    if found["verdict"] == "off":
        return found | choices.of_pixels(source, "libvips", peers.narrowed(ours), peers.narrowed(theirs))
    return found


def frames(ours, theirs, what, source):
    """Animations: as many frames, as long, as often, and each of them as it is shown."""
    count = len(theirs[0])
    if len(ours[0]) != count:
        ours, theirs = merged(*ours), merged(*theirs)
    (our_frames, our_delays, our_plays), (their_frames, their_delays, their_plays) = ours, theirs
    notes = []
    if our_plays != their_plays and len(their_frames) > 1:
        notes.append(f"plays: {our_plays} and {their_plays}")
    if len(our_frames) != len(their_frames):
        notes.append(f"{len(our_frames)} frames and {len(their_frames)}")
        return finding(what, "pillow", "off", note="; ".join(notes))
    slow = [i for i, (a, b) in enumerate(zip(our_delays, their_delays)) if abs(a - b) > DELAY * count]
    if slow:
        notes.append(f"delay of frame {slow[0]}: {our_delays[slow[0]]} and {their_delays[slow[0]]} ms")
    if our_frames[0].shape != their_frames[0].shape:
        notes.append(f"{sides(our_frames[0])} and {sides(their_frames[0])}")
        found = finding(what, "pillow", "off", note="; ".join(notes))
        return found | (choices.of_size(source, our_frames[0], their_frames[0]) if len(notes) == 1 else {})
    figures = [difference.between(a, b) for a, b in zip(our_frames, their_frames)]
    worst = max(range(len(figures)), key=lambda i: (figures[i]["mean"], figures[i]["max"]))
    same = verdict(figures[worst], source.bounds("pillow"))
    found = {}
    if same == "off":
        pairs = zip(our_frames, their_frames)
        found = choices.of_pixels(source, "pillow", *(numpy.concatenate(side) for side in zip(*pairs)))
        if not found or notes:
            notes.append(f"frame {worst} is another")
    if notes:
        same, found = "off", {}
    return finding(what, "pillow", same, note="; ".join(notes), frame=worst, **figures[worst]) | found


def merged(frames, delays, plays):
    """Frames that show the same become one that lasts as long: WebP's encoder does that."""
    kept, lasts = [], []
    for frame, delay in zip(frames, delays):
        if kept and numpy.array_equal(visible(kept[-1]), visible(frame)):
            lasts[-1] += delay
        else:
            kept.append(frame)
            lasts.append(delay)
    return kept, lasts, plays


def visible(frame):
    return frame * (frame[..., 3:] > 0)


def profile(source, carried, name, about, warnings):
    """The profile that a source embeds, under `color = "keep"`."""
    what = f"profile in {name}"
    if source == carried:
        return finding(what, "bytes", "ok")
    space = source[16:20]
    said = [
        warning
        for warning in warnings
        if warning["code"] in ("profile-broken", "metadata-dropped") and warning.get("variant") in (None, name)
    ]
    if said:
        return finding(what, "bytes", "choice", note=said[0]["detail"])
    if space == b"CMYK":
        return finding(what, "bytes", "choice", note="inks are always converted")
    if space == b"GRAY" and name == "webp" and carried and carried[16:20] == b"RGB ":
        return finding(what, "bytes", "choice", note="gray is stored as RGB there, with a profile of the same tones")
    return finding(what, "bytes", "off", note=f"{len(source)} bytes became {len(carried or b'')}")
