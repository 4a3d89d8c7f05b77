#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_package.sh CMAKE BUILD SOURCE CC LIBDIR CFLAGS: installs the client into a directory of its
# own and builds a program against it, by pkg-config and by find_package, shared and static.
set -eu

cmake=$1
build=$2
source=$3
cc=$4
libdir=$5
cflags=$6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/usr

"$cmake" --install "$build" --prefix "$prefix" --component client-c >"$work/log"
[ -L "$prefix/$libdir/libholdfast.so" ]

export PKG_CONFIG_PATH="$prefix/$libdir/pkgconfig"
version=$(pkg-config --modversion holdfast)
if pkg-config --cflags --libs holdfast | grep '//'; then
    echo "the flags above are not clean" >&2
    exit 1
fi

expect_version() {
    got=$("$@")
    if [ "$got" != "$version" ]; then
        echo "$*: printed \"$got\", not \"$version\"" >&2
        exit 1
    fi
}

# Flags are lists of words.
# shellcheck disable=SC2086,SC2046
{
    "$cc" $cflags -Wall -Werror "$source/program.c" -o "$work/shared" \
        $(pkg-config --cflags --libs holdfast)
    "$cc" $cflags -Wall -Werror "$source/program.c" -o "$work/static" \
        $(pkg-config --static --cflags --libs holdfast | sed 's/-lholdfast/-l:libholdfast.a/')
    "$cc" $cflags -Wall -Werror -fsyntax-only $(pkg-config --cflags holdfast) \
        -x c++ "$source/program.cc"
}
export LD_LIBRARY_PATH="$prefix/$libdir"
expect_version "$work/shared"
unset LD_LIBRARY_PATH
expect_version "$work/static"
if "$work/shared" >/dev/null 2>&1; then
    echo "the program is not linked to the shared library" >&2
    exit 1
fi

"$cmake" -S "$source" -B "$work/cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    "-DCMAKE_C_FLAGS=$cflags" >"$work/log" || { cat "$work/log"; exit 1; }
"$cmake" --build "$work/cmake" >"$work/log" || { cat "$work/log"; exit 1; }
expect_version "$work/cmake/shared"
expect_version "$work/cmake/static"
