#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_symbols.sh NM SHARED STATIC: both libraries offer the functions of holdfast.h and nothing
# else, and need nothing that is not in the package's dependencies.
set -eu

nm=$1
shared=$2
static=$3
header=$(dirname "$0")/../../../client/c/include/holdfast/holdfast.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Names in front of a parenthesis, but for the function types and what comments mention.
sed -e 's,/\*.*\*/,,' -e '/^ \*/d' -e '/^typedef/d' "$header" |
    grep -o 'holdfast_[a-z_]*(' | tr -d '(' | sort -u >"$work/expected"
[ "$(wc -l <"$work/expected")" -ge 20 ]

"$nm" -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' |
    sort -u >"$work/shared"
"$nm" -g --defined-only "$static" | awk 'NF == 3 { print $3 }' |
    grep -v -e '^__odr_asan' -e '^asan\.' | sort -u >"$work/static"

diff -u "$work/expected" "$work/shared"
diff -u "$work/expected" "$work/static"

# Only these prefixes may be needed besides libc: nothing of the server's own dependencies.
"$nm" -u "$static" | awk '{ print $2 }' >"$work/needed"
if grep -E '^(yaml_|json_|redis|nghttp2_|cyaml_|sd_)' "$work/needed"; then
    echo "the static library needs the libraries above, which its package does not name" >&2
    exit 1
fi
if grep -E '^(call_|wheel_|log_|loop_|arena_|memory_|message_|ttrpc_|holdfast__)' "$work/needed"; then
    echo "the static library needs the internal functions above" >&2
    exit 1
fi
