#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_examples.sh HOLDFASTD EXAMPLES: runs the examples against a real server with its own Redis.
# Exits 77 (skipped) where the server has not been built.
set -eu

server=$1
examples=$2
if [ ! -x "$server" ]; then
    echo "skipped: $server has not been built"
    exit 77
fi
work=$(mktemp -d)
pid=
finish() {
    exec 3>&- || true
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "$1" >&2
    cat "$work"/*.log >&2
    exit 1
}

# await FILE TEXT: until the file holds the text, for ten seconds.
await() {
    end=$(($(date +%s) + 10))
    until grep -q "$2" "$1" 2>/dev/null; do
        [ "$(date +%s)" -lt "$end" ] || fail "no \"$2\" in $1"
    done
}

export HOLDFAST_SERVER="unix://$work/socket"
"$server" --listen "$HOLDFAST_SERVER" 2>"$work/server.log" &
pid=$!
end=$(($(date +%s) + 20))
until "$examples/example_async_hold" warm-up >"$work/warm-up.log" 2>&1; do
    [ "$(date +%s)" -lt "$end" ] || fail "the server does not answer"
    kill -0 "$pid" || fail "the server ended"
done
grep -qx 'released' "$work/warm-up.log" || fail "async_hold did not release"

mkfifo "$work/input"
"$examples/example_hold" shared-key <"$work/input" >"$work/first.log" 2>&1 &
holder=$!
exec 3>"$work/input"
await "$work/first.log" 'shared-key is yours'
"$examples/example_hold" shared-key </dev/null >"$work/second.log" 2>&1 && fail "two holders"
grep -q 'held by the hold example' "$work/second.log" || fail "busy without a holder"
code=0
"$examples/example_async_hold" shared-key >"$work/async.log" 2>&1 || code=$?
[ "$code" = 75 ] || fail "async_hold: $code when the lock is busy"
grep -qx 'busy: the hold example holds the lock' "$work/async.log" || fail "async_hold: busy"
echo >&3
wait "$holder" || fail "the first holder failed"
grep -q '^release: ok' "$work/first.log" || fail "hold did not release"
"$examples/example_hold" shared-key </dev/null >"$work/third.log" 2>&1 || fail "not free again"

code=0
HOLDFAST_SERVER="unix://$work/nobody" "$examples/example_async_hold" k >"$work/away.log" 2>&1 || code=$?
[ "$code" = 69 ] || fail "async_hold: $code without a server"
grep -q ' $' "$work"/*.log && fail "a blank at the end of a line"
true
