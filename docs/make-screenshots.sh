#!/bin/sh
# Makes docs/contact-sheet.png: the samples' contact sheet as Chromium shows it. Run it in the root of the repository, with
# `pixmill` and Chromium on the path, or named in PIXMILL and CHROMIUM.
set -eu
pixmill=${PIXMILL:-pixmill}
chromium=${CHROMIUM:-chromium}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp -r samples "$work/samples"
rm "$work/samples/README.md"
# A damaged file, so that the page shows what becomes of one: then the command's exit code is 1.
head -c 20000 samples/cat.jpg > "$work/samples/cut.jpg"
(cd "$work" && "$pixmill" convert samples -o out --quiet --report out/index.html) || test $? -eq 1

# --no-sandbox, because containers have none; the page is our own. The pause lets the thumbnails come in.
"$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" --timeout=4000 \
  --window-size=1200,1000 --screenshot="$work/contact-sheet.png" "file://$work/out/index.html" 2> "$work/log" || {
  cat "$work/log" >&2
  exit 1
}
cp "$work/contact-sheet.png" docs/contact-sheet.png
