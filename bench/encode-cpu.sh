#!/usr/bin/env bash
# CPU of one `headwater-encoder encode` against one ffmpeg for each rendition, which is what it
# replaces. user + sys of all children; three pairs, one after the other; the median of the three
# ratios must be at most .85. Both sides use the options that the encode wrote into facts.json, of its
# first chunk: what cuts it out is left away.
#
#   bench/encode-cpu.sh [INPUT]          default: ../shared/media/bbb-1080p.mp4
#   HEADWATER_TEST_ENCODER=path          default: target/release/headwater-encoder
#   HEADWATER_ENCODER__THREADS=1         as everywhere, a key of the configuration
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
input=${1:-$root/../shared/media/bbb-1080p.mp4}
encoder=${HEADWATER_TEST_ENCODER:-$root/target/release/headwater-encoder}
most=0.85
pairs=3
# As many at once on both sides: of what shares a core, each takes more of its seconds.
at_once=${HEADWATER_ENCODER__THREADS:-0}
[ "$at_once" -gt 0 ] || at_once=$(nproc)

[ -r "$input" ] || { echo "there is no film $input: name one" >&2; exit 2; }
[ -x "$encoder" ] || { echo "there is no $encoder: cargo build --release -p headwater-encoder" >&2; exit 2; }
input=$(realpath "$input")
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT
TIMEFORMAT='%U %S'

# Seconds of CPU that a command and its children take; what it says goes to a log.
cpu() {
  local times
  if ! times=$({ time "$@" >"$work/log" 2>&1; } 2>&1); then
    echo "failed: $*" >&2
    tail -n 5 "$work/log" >&2
    exit 1
  fi
  echo "$times" | awk '{ printf "%.2f", $1 + $2 }'
}

ours() {
  rm -rf "$work/store"
  "$encoder" encode "$input" --title bench --store "$work/store" --work-dir "$work/work"
}

# The options that `ours` ran ffmpeg with, one a line in facts.json.
options() {
  sed -n '/"options": \[/,/^ *\]/p' "$work"/store/titles/bench/*/facts.json |
    sed -n 's/^ *"\(.*\)",\{0,1\}$/\1/p'
}

# Starts a command when there is room for it.
start() {
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n || return 1; done
  "$@" &
}

# One ffmpeg for each output: the same options behind its own decode and its own filter.
theirs() {
  local -a all output=() filter scales
  local graph='' threads='' rung=0 i
  mapfile -t all < <(options)
  for i in "${!all[@]}"; do
    [ "${all[i]}" != -filter_complex ] || graph=${all[i + 1]}
    [ "${all[i]}" != -threads ] || threads=${threads:-${all[i + 1]}}
  done
  mapfile -t scales < <(grep -o 'scale=[0-9]*:[0-9]*' <<<"$graph")
  local front=${graph%%,scale=*}
  front=$(sed 's/trim=[^,]*,//' <<<"${front#*]}")
  # An output is -map, its pad, options, its file; the next -map ends it.
  for i in "${all[@]}" -map; do
    if [ "$i" = -map ] && [ "${#output[@]}" -gt 0 ]; then
      filter=(-an -filter:v "$front,${scales[rung]}:flags=bicubic,format=yuv420p,setsar=1")
      rung=$((rung + 1))
      [ "${output[2]}" != -frames:v ] || output=("${output[@]:0:2}" "${output[@]:4}")
      start ffmpeg -nostdin -v error -y -threads "$threads" -copyts -i "file:$input" "${filter[@]}" \
        "${output[@]:2:${#output[@]}-3}" "$work/theirs-$rung.mp4" || return 1
      output=()
    fi
    if [ "$i" = -map ] || [ "${#output[@]}" -gt 0 ]; then output+=("$i"); fi
  done
  # The first sound, once.
  start ffmpeg -nostdin -v error -y -threads "$threads" -i "file:$input" -vn -map '0:a:0?' -ac 2 -ar 48000 \
    -c:a aac -b:a 128k -f mp4 -movflags +frag_keyframe+empty_moov "$work/theirs-sound.mp4" || return 1
  while [ -n "$(jobs -p)" ]; do wait -n || return 1; done
  [ "$rung" -gt 0 ] || { echo "no rendition in facts.json" >&2; return 1; }
}

ratios=()
for pair in $(seq "$pairs"); do
  a=$(cpu ours)
  b=$(cpu theirs)
  ratio=$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')
  ratios+=("$ratio")
  echo "pair $pair: encode $a CPU-s, one ffmpeg per rendition $b CPU-s, ratio $ratio"
done
median=$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n "$(((pairs + 1) / 2))p")
echo "ratio $median (median of $pairs), at most $most allowed, $(basename "$input")"
awk -v r="$median" -v m="$most" 'BEGIN { exit !(r <= m) }' || { echo "above $most" >&2; exit 1; }
