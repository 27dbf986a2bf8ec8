"""One picture, several renditions, by Pillow: decoded once, then a save for each variant."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import PIL
from PIL import Image, ImageOps, features

JOB, INPUT, OUTPUT, WEBP_EFFORT, AT_ONCE = (sys.argv[1:] + [""] * 5)[:5]
Image.MAX_IMAGE_PIXELS = None


def render(name):
    folder = os.path.join(OUTPUT, name)
    os.makedirs(folder, exist_ok=True)

    def file(variant):
        return os.path.join(folder, variant)

    with Image.open(os.path.join(INPUT, name)) as opened:
        icc = opened.info.get("icc_profile")
        if JOB == "thumbnail":
            # Decodes a JPEG at a fraction of its size.
            opened.thumbnail((200, 200))
        picture = ImageOps.exif_transpose(opened)
    flat = picture.convert("RGB") if picture.mode not in ("RGB", "L") else picture
    if JOB != "thumbnail":
        flat.save(file("compressed.jpg"), quality=85, optimize=True, icc_profile=icc)
        flat.save(file("low.jpg"), quality=60, optimize=True, icc_profile=icc)
        if JOB != "without-webp":
            picture.save(file("webp.webp"), quality=85, method=int(WEBP_EFFORT), icc_profile=icc)
        picture.save(file("png.png"), icc_profile=icc)
    small = flat.copy()
    small.thumbnail((200, 200))
    small.save(file("thumbnail.jpg"), quality=80, optimize=True, icc_profile=icc)


if JOB == "versions":
    libraries = {name: features.version(name) for name in ("libjpeg_turbo", "webp", "zlib")}
    print(json.dumps({"pillow": PIL.__version__, **libraries}))
else:
    with ThreadPoolExecutor(int(AT_ONCE)) as threads:
        list(threads.map(render, sorted(os.listdir(INPUT))))
