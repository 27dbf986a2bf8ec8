"""One source: the peers read it, and every rendition of it is held against what they see. Runs in a worker."""

import base64
import io

import numpy
from PIL import Image

import containers
import difference
import judgement
import peers
import png_colors
import sources

# Sides of the pictures in the page, in pixels.
SHOWN = 360


def look(request, begins):
    """The findings of one source, or with `draw` its pictures for the page."""
    with open(request["path"], "rb") as file:
        data = file.read()
    look = Look(request, data, begins)
    return look.drawn(*request["draw"]) if request.get("draw") else look.findings()


class Look:
    def __init__(self, request, data, begins):
        self.request, self.source, self.begins = request, sources.Source(data), begins
        self.about, self.said, self.seen = {}, {}, {}

    def step(self, name, work):
        """What one peer gives; its refusal is kept in its own words."""
        why = self.request["left_out"].get(name)
        try:
            if why:
                raise peers.Unread(why)
            self.begins(name)
            return work()
        except peers.Unread as error:
            self.said[name] = str(error)[:300]
            return None

    def read(self):
        for peer, read in (("pillow", peers.pillow), ("libvips", peers.vips)):
            found = self.step(peer, lambda: read(self.request["path"]))
            if found:
                self.seen[peer], self.about[peer] = found

    def findings(self):
        self.read()
        ours = self.request["renditions"]
        found = []
        if "srgb/full" in ours:
            self.begins("comparing")
            found += self.still(ours)
        if "keep/full" in ours:
            found += self.kept(ours)
        if "frames/webp" in ours:
            found += self.moving(ours)
        return {"about": self.about, "said": self.said, "findings": [one for one in found if one]}

    def still(self, ours):
        full, small = picture(ours["srgb/full"]), picture(ours["srgb/small"])
        for peer, theirs in self.seen.items():
            about = self.about[peer]
            compared = judgement.full(full, theirs, peer, about, self.source)
            yield compared
            if compared["verdict"] == "ok":
                colors = None if about.get("profile") else png_colors.of(self.source.data)
                theirs = png_colors.applied(theirs, colors) if colors else theirs
                yield judgement.small(small, theirs, peer)
        if small[..., 3].min() < 255:
            yield judgement.flat(picture(ours["srgb/flat"]), small)

    def kept(self, ours):
        profile = peers.profile_of(self.request["path"])
        if profile:
            for name in ("full", "jpeg", "webp"):
                with open(ours[f"keep/{name}"], "rb") as file:
                    carried = containers.profile(file.read())
                yield judgement.profile(profile, carried, name, self.about, self.request["warnings"]["keep"])
        theirs = self.step("libvips-numbers", lambda: peers.vips_numbers(self.request["path"]))
        if theirs is not None:
            yield judgement.numbers(peers.vips_numbers(ours["keep/full"]), theirs, self.source, self.request["warnings"]["keep"])

    def moving(self, ours):
        theirs = self.step("pillow-frames", lambda: peers.pillow_frames(self.request["path"]))
        if theirs:
            for name in ("webp", "png"):
                found = self.step(f"our frames ({name})", lambda: peers.pillow_frames(ours[f"frames/{name}"]))
                if found is None:
                    yield judgement.finding(f"frames ({name})", "pillow", "off", note=self.said[f"our frames ({name})"])
                else:
                    yield judgement.frames(found, theirs, f"frames ({name})", self.source)

    def drawn(self, what, peer, frame):
        """Ours, theirs and the difference, each a data URL, and how much the difference was amplified."""
        ours = self.request["renditions"]
        if what.startswith("frames"):
            name = what[len("frames (") : -1]
            one = peers.pillow_frames(ours[f"frames/{name}"])[0]
            other = peers.pillow_frames(self.request["path"])[0]
            frame = min(frame or 0, len(one) - 1, len(other) - 1)
            one, other = one[frame], other[frame]
        elif what == "numbers":
            one = peers.narrowed(peers.vips_numbers(ours["keep/full"]))
            other = peers.narrowed(peers.vips_numbers(self.request["path"]))
        else:
            self.read()
            one = picture(ours["srgb/small" if what == "flat" else f"srgb/{what}"])
            other = picture(ours["srgb/flat"]) if what == "flat" else self.seen[peer]
            colors = None if self.about.get(peer, {}).get("profile") else png_colors.of(self.source.data)
            if colors and what != "flat":
                other = png_colors.applied(other, colors)
            if what == "flat":
                one = peers.rgba(numpy.rint(difference.over(one, 255)).astype(numpy.uint8), 255)
            if what == "small":
                other = peers.RESIZE[peer](other, (one.shape[1], one.shape[0]))
        shown = [data_url(shrunk(one)), data_url(shrunk(other))]
        if one.shape != other.shape:
            return {"pictures": shown, "amplified": None}
        apart = numpy.abs(difference.over(one, 128) - difference.over(other, 128))
        # So that the largest difference is as bright as it gets, and small ones are seen at all.
        factor = float(numpy.floor(255 / max(apart.max(), 1)))
        bright = numpy.clip(apart * factor, 0, 255).astype(numpy.uint8)
        return {"pictures": [*shown, data_url(shrunk(bright))], "amplified": factor}


def picture(path):
    """One of our renditions, by Pillow: RGBA of 8 bits."""
    with Image.open(path) as image:
        return peers.rgba(numpy.asarray(image.convert("RGBA")), 255)


def shrunk(array):
    image = Image.fromarray(array)
    if max(image.size) > SHOWN:
        # The brightest of each box would hide how much differs; the mean would hide that anything does.
        image.thumbnail((SHOWN, SHOWN), Image.Resampling.BOX)
    elif max(image.size) <= SHOWN // 4:
        factor = SHOWN // 2 // max(image.size)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return image


def data_url(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
