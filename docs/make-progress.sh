#!/bin/sh
# Makes docs/progress.svg: a run of `pixmill convert` as a terminal shows it. Run it in the root of the repository, with tmux, Python
# and `pixmill` on the path, or the last one named in PIXMILL.
set -eu
pixmill=${PIXMILL:-pixmill}
work=$(mktemp -d)
screen="$work/screen"
trap 'tmux -S "$screen" kill-server 2> "$work/log" || true; rm -rf "$work"' EXIT

mkdir "$work/frames" "$work/photos"
rm -rf "$work/photos"/*
for day in 1 2 3 4; do
  cp -r samples "$work/photos/day $day"
  rm "$work/photos/day $day/README.md"
done
# A damaged file, so that the line about one is seen.
head -c 20000 samples/cat.jpg > "$work/photos/cut.jpg"
mkdir "$work/bin"
ln -s "$(command -v "$pixmill")" "$work/bin/pixmill"

tmux -S "$screen" -f /dev/null new-session -d -x 92 -y 14 -c "$work" "PATH='$work/bin:$PATH' PS1='$ ' sh"
tmux -S "$screen" send-keys 'clear; pixmill convert photos -o out --alert-above 1; echo; pixmill convert photos -o out; touch ended' Enter
number=1000
while [ ! -e "$work/ended" ]; do
  sleep 0.2
  number=$((number + 1))
  tmux -S "$screen" capture-pane -e -p > "$work/frames/$number"
done
sleep 0.5
tmux -S "$screen" capture-pane -e -p > "$work/frames/9999"
# What is typed to begin and to end it is not part of it.
sed -i.typed -e 's/clear; //' -e 's/ --alert-above 1; .*$//' "$work"/frames/*
rm "$work"/frames/*.typed
python3 docs/draw-terminal.py 0.2 "$work"/frames/* > docs/progress.svg
