"""One picture, several renditions, by pyvips: decoded once into memory, then a save for each variant."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pyvips

JOB, INPUT, OUTPUT, WEBP_EFFORT, AT_ONCE = (sys.argv[1:] + [""] * 5)[:5]
KEEP = pyvips.enums.ForeignKeep.ICC


def render(name):
    folder = os.path.join(OUTPUT, name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(INPUT, name)

    def file(variant):
        return os.path.join(folder, variant)

    if JOB == "thumbnail":
        small = pyvips.Image.thumbnail(path, 200, height=200, size="down")
        small.jpegsave(file("thumbnail.jpg"), Q=80, optimize_coding=True, keep=KEEP)
        return
    picture = pyvips.Image.new_from_file(path, access="sequential").autorot().copy_memory()
    picture.jpegsave(file("compressed.jpg"), Q=85, optimize_coding=True, keep=KEEP)
    picture.jpegsave(file("low.jpg"), Q=60, optimize_coding=True, keep=KEEP)
    if JOB != "without-webp":
        picture.webpsave(file("webp.webp"), Q=85, effort=int(WEBP_EFFORT), keep=KEEP)
    picture.pngsave(file("png.png"), compression=6, keep=KEEP)
    small = picture.thumbnail_image(200, height=200, size="down")
    small.jpegsave(file("thumbnail.jpg"), Q=80, optimize_coding=True, keep=KEEP)


if JOB == "versions":
    version = ".".join(str(pyvips.version(part)) for part in range(3))
    print(json.dumps({"pyvips": pyvips.__version__, "vips": version}))
else:
    with ThreadPoolExecutor(int(AT_ONCE)) as threads:
        list(threads.map(render, sorted(os.listdir(INPUT))))
