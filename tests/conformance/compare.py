"""`cargo xtask conformance`: renditions of any folder of pictures, held against what Pillow and libvips make of it.

Five recipes are run by the command (`srgb.toml`, `keep.toml`, `metadata.toml` and `accept.toml` over everything,
`frames.toml` over what moves), then each source is read by the peers and compared. What is compared and how far it may
be apart is in `judgement.py`; what is meant to differ in `choices.py`, and for single files in `exceptions.json`.

Ends with 0 when all is within bounds, with 1 when something is off, with 2 when called wrongly.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import choices
import looking
import metadata
import page
import peers
import self_check
import workers

HERE = pathlib.Path(__file__).parent
# What each recipe says of metadata.
RULES = {"srgb": "none", "keep": "no-location", "metadata": "keep", "frames": "none", "accept": "none"}
PNG_SUITE = re.compile(r"[a-z0-9]{3}[ni][0236][agcp](01|02|04|08|16)\.png")


def main():
    arguments = parse()
    if arguments.self_check:
        return self_check.run()
    if not arguments.folder or not arguments.folder.is_dir():
        print(f"{arguments.folder} is not a folder.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pixmill-conformance-") as outputs:
        report = compare(arguments.pixmill.absolute(), arguments.folder.resolve(), pathlib.Path(outputs), arguments.worst)
    print(page.table(report))
    if arguments.json:
        written = {name: report[name] for name in ("folder", "peers", "counts", "sources")}
        arguments.json.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"Every source: {arguments.json}")
    if arguments.page:
        arguments.page.mkdir(parents=True, exist_ok=True)
        file = arguments.page / "index.html"
        file.write_text(page.html(report), encoding="utf-8")
        print(f"The page: {file}")
    return 1 if report["counts"]["off"] else 0


def parse():
    parser = argparse.ArgumentParser(prog="cargo xtask conformance", add_help=False)
    parser.add_argument("--pixmill", type=pathlib.Path, required=True)
    parser.add_argument("folder", type=pathlib.Path, nargs="?")
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--worst", type=int, default=10)
    parser.add_argument("--self-check", action="store_true")
    return parser.parse_args()


def compare(pixmill, folder, outputs, worst):
    runs = {}
    for recipe in ("srgb", "keep", "metadata", "accept"):
        tell(f"pixmill convert --recipe {recipe}.toml")
        runs[recipe] = convert(pixmill, folder, outputs / recipe, recipe)
    moving = [name for name, entry in runs["srgb"].items() if moves(outputs / "srgb" / name)]
    if moving:
        tell("pixmill convert --recipe frames.toml")
        only = [argument for name in moving for argument in ("--include", escaped(name))]
        runs["frames"] = convert(pixmill, folder, outputs / "frames", "frames", only)

    requests = [request(folder, outputs, runs, name) for name in sorted(runs["srgb"])]
    looks = workers.ask_all(looking.look, requests, lambda count: tell(f"{count} of {len(requests)}", True))
    tell("metadata")
    leaks, places = beside(requests)
    exceptions = json.loads((HERE / "exceptions.json").read_text(encoding="utf-8"))
    sources = [
        judged(request, runs, look, leaks, exceptions) for request, look in zip(requests, looks, strict=True)
    ]
    report = {
        "peers": peers.VERSIONS | {"exiftool": places is not None},
        "folder": folder.name,
        "counts": counts(sources, places),
        "sources": sources,
    }
    report["worst"], report["examples"] = drawn(sources, requests, worst)
    return report


def tell(what, again=False):
    if not again:
        print(f"... {what}", file=sys.stderr, flush=True)
    elif sys.stderr.isatty():
        print(f"\r... {what}", file=sys.stderr, end="", flush=True)


def convert(pixmill, folder, output, recipe, only=()):
    """The command's own words about each source, by its name."""
    command = [pixmill, "convert", folder, "-o", output, "-r", HERE / f"{recipe}.toml", "--json", *only]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"pixmill ended with {run.returncode}:\n{run.stderr[-2000:]}")
    entries = [json.loads(line) for line in run.stdout.splitlines()]
    return {entry["source"]: entry for entry in entries if "source" in entry}


def escaped(name):
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", name)


def moves(folder):
    """Whether a source is an animation, as its manifest says; pages and icons are none."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return False
    source = json.loads(manifest.read_text(encoding="utf-8"))["source"]
    return source["frames"] > 1 and source["format"] in ("gif", "png", "webp")


def request(folder, outputs, runs, name):
    """What a worker needs to know of one source."""
    renditions, warnings = {}, {}
    for recipe, entries in runs.items():
        entry = entries.get(name, {})
        warnings[recipe] = entry.get("warnings", [])
        for variant in entry.get("variants", []):
            if variant["rendition"]:
                renditions[f"{recipe}/{variant['name']}"] = str(outputs / recipe / variant["rendition"]["key"])
    path = str(folder / name) if (folder / name).exists() else runs["srgb"][name]["path"]
    return {"source": name, "path": path, "renditions": renditions, "warnings": warnings, "left_out": {}}


def beside(requests):
    """What renditions have that they must not have, one text for each that has any, by source; and the sources that state
    a place or a turn (None: unknown)."""
    made = [(name, path) for request in requests for name, path in request["renditions"].items()]
    tags = metadata.exiftool([path for _, path in made])
    leaks = {}
    for request in requests:
        for name, path in request["renditions"].items():
            rule = RULES[name.split("/")[0]]
            found = metadata.findings(rule, path, (tags or {}).get(path))
            if found:
                leaks.setdefault(request["source"], []).append(f"{name}: {', '.join(found)}")
    of_sources = metadata.exiftool([request["path"] for request in requests if request["renditions"]])
    if of_sources is None:
        return leaks, None
    return leaks, {
        "places": [path for path, tags in of_sources.items() if metadata.places(tags)],
        "turned": [path for path, tags in of_sources.items() if metadata.orientations(tags)],
    }


def judged(request, runs, look, leaks, exceptions):
    name, entry = request["source"], runs["srgb"][request["source"]]
    findings = list(look.get("findings", []))
    if "broken" in look:
        findings.append({"what": "comparing", "peer": "both", "verdict": "off", "note": look["broken"]})
    findings += [
        {"what": "metadata", "peer": "bytes", "verdict": "off", "note": leak} for leak in leaks.get(name, [])
    ]
    said, about = look.get("said", {}), look.get("about", {})
    outcome = {"outcome": entry["outcome"], "code": entry["code"]}
    if entry.get("message"):
        outcome["message"] = entry["message"]
    if entry["outcome"] != "done" and len(about) == 2:
        words = entry.get("message") or entry["code"]
        accepted = runs["accept"].get(name, {}).get("outcome") == "done"
        refusal = {"what": "reading", "peer": "both", "verdict": "off", "note": words}
        findings.append(refusal | choices.of_refusal(words, accepted))
    for finding in findings:
        excuse = excused(name, finding, exceptions) if finding["verdict"] == "off" else None
        if excuse:
            finding |= {"verdict": "choice", "reason": excuse}
    return {"source": name, **outcome, "peers": about, "refusals": said, "findings": findings}


def excused(name, finding, exceptions):
    for exception in exceptions:
        if (
            fnmatch.fnmatchcase("/" + name, exception["source"])
            and fnmatch.fnmatchcase(finding["what"], exception["what"])
            and fnmatch.fnmatchcase(finding["peer"], exception.get("peer", "*"))
        ):
            return exception["reason"]
    return None


def counts(sources, states):
    done = [source for source in sources if source["outcome"] == "done"]
    verdicts = {}
    for source in done:
        for finding in source["findings"]:
            of_kind = verdicts.setdefault(f"{finding['what']} / {finding['peer']}", {"ok": 0, "choice": 0, "off": 0})
            of_kind[finding["verdict"]] += 1
    reading = {}
    for source in sources:
        ours = "done" if source["outcome"] == "done" else source["outcome"]
        both = " and ".join(sorted(source["peers"])) or "neither"
        reading.setdefault(ours, {}).setdefault(both, 0)
        reading[ours][both] += 1
    suite = [source for source in done if PNG_SUITE.fullmatch(source["source"].rsplit("/", 1)[-1])]
    result = {
        "sources": len(sources),
        "off": sum(any(finding["verdict"] == "off" for finding in source["findings"]) for source in sources),
        "reading": {ours: dict(sorted(by.items())) for ours, by in sorted(reading.items())},
        "findings": dict(sorted(verdicts.items())),
        "png_suite": {
            "files": len(suite),
            "exact": sum(is_exact(source) for source in suite),
            "others": sorted(source["source"].rsplit("/", 1)[-1] for source in suite if not is_exact(source)),
        },
    }
    turned = [source for source in done if source["peers"].get("pillow", {}).get("orientation", 1) in range(2, 9)]
    result["turned"] = {
        "sources": len(turned),
        "upright": sum(
            all(finding["verdict"] != "off" for finding in source["findings"] if finding["what"] == "full")
            for source in turned
        ),
    }
    leaks = [finding["note"] for source in done for finding in source["findings"] if finding["what"] == "metadata"]
    result["metadata"] = {"renditions": len(leaks), "places": sum("a place" in leak for leak in leaks)}
    if states is not None:
        result["metadata"]["sources_with_places"] = len(states["places"])
        result["metadata"]["sources_with_turns"] = len(states["turned"])
    return result


def is_exact(source):
    """Every sample of the full rendition as a peer that reads all bits has it."""
    full = [finding for finding in source["findings"] if finding["what"] == "full" and finding["peer"] == "libvips"]
    return bool(full) and full[0]["max"] == 0 and full[0]["alpha"] == 0


def drawn(sources, requests, worst):
    """The worst findings with their pictures: what is off first, then by mean difference, one a source; and an example of
    each kind of choice."""
    seen, chosen = [], {}
    for source, request in zip(sources, requests, strict=True):
        for finding in source["findings"]:
            if finding["what"].split(" ")[0] not in ("full", "small", "frames", "numbers", "flat"):
                continue
            if finding["verdict"] == "choice":
                chosen.setdefault(finding["reason"], (source, request, finding))
            elif finding.get("mean", 0) > 0 or finding["verdict"] == "off":
                seen.append((source, request, finding))
    seen.sort(key=lambda one: (one[2]["verdict"] != "off", -one[2].get("mean", 0), one[0]["source"]))
    firsts = {source["source"]: (source, request, finding) for source, request, finding in reversed(seen)}
    seen = [one for one in seen if firsts[one[0]["source"]][2] is one[2]][:worst]
    return with_pictures(seen), with_pictures(list(chosen.values()))


def with_pictures(found):
    asked = [request | {"draw": (one["what"], one["peer"], one.get("frame"))} for _, request, one in found]
    pictures = workers.ask_all(looking.look, asked)
    return [
        {"source": source["source"], "finding": finding, **shown}
        for (source, _, finding), shown in zip(found, pictures, strict=True)
    ]


if __name__ == "__main__":
    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    sys.exit(main())
