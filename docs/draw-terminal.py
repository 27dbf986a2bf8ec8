#!/usr/bin/env python3
"""Draws what a terminal showed, as an animated SVG. Frames come as files of `tmux capture-pane -e -p`, in the order of their
names, TIME apart; the last one stays for a while. Usage: draw-terminal.py SECONDS FRAME... > picture.svg"""

import html
import re
import sys

COLUMNS, WIDE, HIGH = 92, 8.4, 18.0
STAYS = 4.0
COLOURS = {"31": "#f2777a", "32": "#99cc99", "33": "#ffcc66", "34": "#6699cc", "35": "#cc99cc", "36": "#66cccc", "90": "#888888"}
CODE = re.compile(r"\x1b\[([0-9;]*)m")


def runs(line):
    """The line's parts, each with its style."""
    colour, dim, at, out = None, False, 0, []
    for code in CODE.finditer(line):
        out.append((line[at : code.start()], colour, dim))
        at = code.end()
        for number in (code.group(1) or "0").split(";"):
            if number in ("0", ""):
                colour, dim = None, False
            elif number == "2":
                dim = True
            elif number == "22":
                dim = False
            elif number == "39":
                colour = None
            elif number in COLOURS:
                colour = COLOURS[number]
    out.append((line[at:], colour, dim))
    return [run for run in out if run[0]]


def draw(lines, rows):
    out = []
    for row, line in enumerate(lines[:rows]):
        column = 0
        for text, colour, dim in runs(line):
            if text.strip():
                style = f' fill="{colour}"' if colour else ""
                style += ' opacity="0.6"' if dim else ""
                x, y = 14 + column * WIDE, 30 + row * HIGH
                long = f' textLength="{len(text) * WIDE:.1f}"'
                out.append(f'<text x="{x:.1f}" y="{y:.1f}"{long}{style}>{html.escape(text)}</text>')
            column += len(text)
    return "".join(out)


def main():
    time, names = float(sys.argv[1]), sys.argv[2:]
    frames = []
    for name in names:
        with open(name, encoding="utf-8") as file:
            lines = file.read().rstrip("\n").split("\n")
        if frames and frames[-1][0] == lines:
            frames[-1][1] += time
        else:
            frames.append([lines, time])
    frames[-1][1] += STAYS
    rows = max(len(lines) for lines, _ in frames)
    whole = sum(lasts for _, lasts in frames)
    width, height = 28 + COLUMNS * WIDE, 30 + rows * HIGH
    style, body, begun = [], [], 0.0
    for at, (lines, lasts) in enumerate(frames):
        start, end = 100 * begun / whole, 100 * (begun + lasts) / whole
        begun += lasts
        style.append(f"@keyframes f{at}{{0%{{opacity:0}}{start:.2f}%{{opacity:1}}{end:.2f}%{{opacity:0}}100%{{opacity:0}}}}")
        # Where nothing is animated, the last frame is what is seen.
        last = "" if at == len(frames) - 1 else ' opacity="0"'
        body.append(f'<g{last} style="animation:f{at} {whole:.1f}s step-end infinite">{draw(lines, rows)}</g>')
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="14" fill="#d8d8d8">'
        f'<title>A run of pixmill convert on a terminal</title><style>text{{white-space:pre}}{"".join(style)}</style>'
        f'<rect width="100%" height="100%" rx="8" fill="#1d1f21"/>{"".join(body)}</svg>'
    )


main()
