"""What a person reads: a table for the terminal, and a page that needs nothing but a browser."""

import html as escaping

VERDICTS = ("ok", "choice", "off")
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --off: #c0392b; --choice: #b7791f; --ok: #2f855a; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2.5rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .8rem; }
p { margin: .3rem 0 .8rem; max-width: 75ch; } code { font-size: .92em; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .8rem; margin: 1.4rem 0; }
.fact { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.fact b { display: block; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 0 2.5rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; padding: .4rem 0; }
th, td { text-align: left; padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.off { color: var(--off); font-weight: 600; } .choice { color: var(--choice); } .ok { color: var(--ok); }
.zero { opacity: .35; }
figure { margin: 0; } figcaption { font-size: .85rem; opacity: .8; }
.worst { border-top: 1px solid var(--line); padding: 1rem 0 1.2rem; }
.worst h3 { font-size: 1rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
.three { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem; margin-top: .7rem; }
.three img { max-width: 100%; image-rendering: pixelated; border: 1px solid var(--line); display: block;
  background: repeating-conic-gradient(#bbb 0 25%, #eee 0 50%) 0 0 / 16px 16px; }
.why { font-size: .92rem; }
"""


def reading(counts):
    """How many sources who reads: (ours, both, Pillow alone, libvips alone, neither)."""
    for ours, by in counts["reading"].items():
        yield ours, *(by.get(who, 0) for who in ("libvips and pillow", "pillow", "libvips", "neither"))


def facts(report):
    counts = report["counts"]
    suite, turned, beside = counts["png_suite"], counts["turned"], counts["metadata"]
    yield counts["sources"], "sources"
    yield counts["off"], "with something off"
    yield f"{turned['upright']} of {turned['sources']}", "turned sources upright"
    if suite["files"]:
        yield f"{suite['exact']} of {suite['files']}", "files of PngSuite equal in every sample"
    of = f" of {beside['sources_with_places']} sources with one" if "sources_with_places" in beside else ""
    yield beside["places"], f"renditions with a place left{of}"
    yield beside["renditions"], "renditions with anything left that should be gone"


def others(report):
    """The files of PngSuite that aren't equal, by name."""
    names = report["counts"]["png_suite"]["others"]
    if not names:
        return ""
    return f"Of PngSuite, {', '.join(names)} state colors of their own (gAMA with cHRM), which are converted."


def table(report):
    """For the terminal."""
    counts, lines = report["counts"], [""]
    for value, what in facts(report):
        lines.append(f"  {value!s:>12}  {what}")
    lines += ["", f"  {others(report)}"] if others(report) else []
    lines += ["", f"  {'read by':<26}{'both':>8}{'Pillow':>8}{'libvips':>8}{'neither':>8}"]
    for ours, *numbers in reading(counts):
        lines.append(f"  {'we: ' + ours:<26}" + "".join(f"{number:>8}" for number in numbers))
    lines += ["", f"  {'compared':<42}" + "".join(f"{word:>8}" for word in VERDICTS)]
    for what, of in counts["findings"].items():
        lines.append(f"  {what:<42}" + "".join(f"{of[word]:>8}" for word in VERDICTS))
    off = [(source, finding) for source, finding in each(report) if finding["verdict"] == "off"]
    # What we refuse and everybody else reads comes first.
    off.sort(key=lambda one: (one[1]["what"] != "reading", one[0]["source"], one[1]["what"]))
    if off:
        lines += ["", "  Off:"]
    for source, finding in off[:40]:
        lines.append(f"    {source['source']}: {finding['what']} / {finding['peer']}: {figures(finding)}")
    if len(off) > 40:
        lines.append(f"    and {len(off) - 40} more (--json has them all)")
    return "\n".join([*lines, ""])


def each(report):
    for source in report["sources"]:
        for finding in source["findings"]:
            yield source, finding


def figures(finding):
    names = ("mean", "most", "levels", "max", "alpha", "halo", "shift", "frame")
    told = [f"{name} {finding[name]}" for name in names if finding.get(name) not in (None, 0, 0.0, [0.0, 0.0])]
    return "; ".join(filter(None, [finding.get("note"), ", ".join(told)])) or "differs"


def html(report):
    """The page."""
    counts, e = report["counts"], escaping.escape
    peers = report["peers"]
    cards = "".join(f'<div class="fact"><b>{e(str(value))}</b>{e(what)}</div>' for value, what in facts(report))
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Conformance</title><style>{STYLE}</style><h1>Conformance</h1>"
        f"<p>Every rendition that Pixmill makes of <code>{e(report['folder'])}</code>, held against what Pillow "
        f"{e(peers['Pillow'])} and libvips {e(peers['libvips'])} make of the same source.</p>"
        f'<div class="facts">{cards}</div><p>{e(others(report))}</p><div class="columns"><div>',
        rows(
            "Who reads the sources",
            ("Pixmill", "both peers", "Pillow alone", "libvips alone", "neither"),
            [(ours, *map(number, numbers)) for ours, *numbers in reading(counts)],
        ),
        "</div><div>",
        rows(
            "What was compared",
            ("what / with what", *VERDICTS),
            [(e(what), *(number(of[word], word) for word in VERDICTS)) for what, of in counts["findings"].items()],
        ),
        "</div></div><p class='why'><b>ok</b>: within the bounds that <code>tests/conformance/judgement.py</code> states "
        "with their reasons. <b>choice</b>: other than a peer, for a reason listed below. <b>off</b>: to be looked into.</p>",
    ]
    parts.append(
        "<h2>The worst, side by side</h2><p>What is off comes first, then what differs most on average (deltaE 2000). The "
        "third picture is the difference, amplified until its largest is white.</p>"
    )
    parts += [worst(one, e) for one in report["worst"]]
    if not report["worst"]:
        parts.append("<p>None: no sample differs.</p>")
    parts.append(refused(report, e))
    parts.append(chosen(report, e))
    parts += [worst(one, e) for one in report["examples"]]
    return "".join(parts) + "</html>\n"


def number(value, word=""):
    kind = "zero" if not value else word
    return f'<span class="{kind}">{value:,}</span>'


def rows(caption, head, body):
    first, *others = head
    told = "".join(f'<th class="n">{word}</th>' for word in others)
    lines = "".join(
        f"<tr><td>{name}</td>" + "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>"
        for name, *cells in body
    )
    return f"<table><caption>{caption}</caption><tr><th>{first}</th>{told}</tr>{lines}</table>"


def worst(one, e):
    finding = one["finding"]
    why = f"<p class='why'>{e(finding['reason'])}</p>" if finding.get("reason") else ""
    shown = one.get("pictures", [])
    amplified = one.get("amplified")
    names = ["Pixmill", {"pillow": "Pillow"}.get(finding["peer"], finding["peer"]), f"difference x {amplified or 0:g}"]
    figures_of = "".join(
        f'<figure><img src="{url}" alt="{e(name)}"><figcaption>{e(name)}</figcaption></figure>'
        for url, name in zip(shown, names)
    )
    return (
        f'<div class="worst"><h3>{e(one["source"])}</h3><span class="{finding["verdict"]}">{finding["verdict"]}</span> '
        f'{e(finding["what"])} / {e(finding["peer"])}: {e(figures(finding))}{why}<div class="three">{figures_of}</div></div>'
    )


def refused(report, e):
    """What we refuse and a peer reads, and the other way round, by what was said."""
    ours, theirs = {}, {}
    for source in report["sources"]:
        by = sorted(source["peers"])
        if source["outcome"] != "done" and by:
            said = short(source.get("message") or source["code"] or "")
            ours.setdefault((" and ".join(by), source["code"], said), []).append(source["source"])
        if source["outcome"] == "done" and not by:
            said = short(source["refusals"].get("pillow", ""))
            theirs.setdefault(said, []).append(source["source"])
    listed = sorted(ours.items(), key=lambda one: (" and " not in one[0][0], -len(one[1]), one[0]))
    body = "".join(
        f"<tr><td class='n'>{len(names)}</td><td>{e(by)}</td><td><code>{e(code or '')}</code></td><td>{e(said)}<br>"
        f"<small><code>{e(names[0])}</code></small></td></tr>"
        for (by, code, said), names in listed
    )
    others = "".join(
        f"<tr><td class='n'>{len(names)}</td><td>{e(said)}<br><small><code>{e(names[0])}</code></small></td></tr>"
        for said, names in sorted(theirs.items(), key=lambda one: (-len(one[1]), one[0]))
    )
    return (
        "<h2>Refused here, read by a peer</h2><table><tr><th class='n'>sources</th><th>read by</th><th>our code</th>"
        f"<th>our words, and one of them</th></tr>{body}</table>"
        "<h2>Read here, refused by both peers</h2><table><tr><th class='n'>sources</th><th>Pillow's words, and one of "
        f"them</th></tr>{others}</table>"
    )


def short(words):
    """Numbers and names differ from file to file; what is wrong doesn't."""
    words = words.split(";")[0]
    words = "".join(" # " if part.isdigit() else part for part in split_numbers(words))
    return " ".join(words.split())[:160]


def split_numbers(words):
    part = ""
    for letter in words:
        if part and letter.isdigit() != part[-1].isdigit():
            yield part
            part = ""
        part += letter
    yield part


def chosen(report, e):
    reasons = {}
    for source, finding in each(report):
        if finding["verdict"] == "choice":
            reason = finding.get("reason") or finding.get("note", "")
            reasons.setdefault(reason, set()).add(source["source"])
    body = "".join(
        f"<tr><td class='n'>{len(names)}</td><td>{e(reason)}<br><small><code>{e(sorted(names)[0])}</code></small></td></tr>"
        for reason, names in sorted(reasons.items(), key=lambda one: (-len(one[1]), one[0]))
    )
    return f"<h2>Choices</h2><table><tr><th class='n'>sources</th><th>reason, and one of them</th></tr>{body}</table>"
