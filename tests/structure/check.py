#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what the compiler does not: floors, confined headers, sizes, banned words, format.

    check.py [--root DIR] [--build-dir DIR]

Prints each violation as FILE:LINE: RULE: what is wrong, and exits 1 if there is any. With
--build-dir it also looks at what the lease floor's archive really links. test_check.py plants
small broken trees and proves that each rule bites.
"""
import argparse
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
CLANG_FORMAT_VERSION = "14"  # other versions format some constructs differently

# What a floor includes besides itself.
FLOORS = {
    "base": set(),
    "wire": {"base"},
    "lease": {"base"},
    "redis": {"base", "lease"},
    "service": {"base", "wire", "lease"},
    "transport": {"base", "wire", "service"},
    "app": {"base", "wire", "lease", "redis", "service", "transport"},
}
LIBRARY_FLOORS = {"base", "wire"}  # what client/c and client/grpc may use of the server
PUBLIC_HEADER = "holdfast/holdfast.h"
GRPC_HEADERS = ["grpc/grpc_call.h", "grpc/grpc_channel.h"]  # of client/grpc, for the CLI

# What of the CLI knows generated messages.
CLI_PROTOBUF = [
    "client/cli/schema.c",
    "client/cli/reflect.[ch]",
    "client/cli/proto_text.[ch]",
    "client/cli/proto_file.[ch]",
    "client/cli/type.[ch]",
    "client/cli/types.[ch]",
]

# Third-party headers and the only places of server/ and client/ that include them.
CONFINED = [
    (r"hiredis/", ["server/redis/*"]),
    (r"nghttp2/", ["server/wire/http2.c", "client/grpc/http2_client.c"]),
    (
        r"openssl/",
        [
            "server/transport/tls.c",
            "server/transport/stream_tls.c",
            "server/base/random.c",
            "server/redis/script.c",
            "client/c/src/*",
        ],
    ),
    (r".*\.pb-c\.h$", ["server/wire/*", "server/service/*", "client/c/*", *CLI_PROTOBUF]),
    (r"uthash\.h$", ["server/base/table.h"]),
    (r"yaml\.h$", ["server/base/options_file.c"]),
    (r"jansson\.h$", ["server/base/log.c", "server/app/*", "client/cli/*"]),
    (r"sanitizer/", ["server/base/pool.c"]),
    (r"systemd/", ["server/app/notify*.c"]),
]

# Floors without I/O or clocks of their own, and the headers that would bring them.
PURE_FLOORS = ["server/lease/*", "server/wire/*"]
IMPURE_HEADERS = re.compile(r"(event2/|sys/socket\.h|sys/un\.h|netinet/|unistd\.h|fcntl\.h|time\.h)")

# What the archive of a floor may take symbols from, besides itself and the C library.
LINKS = {"lease": ["base"]}
RUNTIME_SYMBOLS = re.compile(r"(__(asan|ubsan|lsan|msan|tsan|sanitizer|sancov)_|_GLOBAL_OFFSET_TABLE_|__gcov|__llvm_)")

BANNED_CALLS = re.compile(
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|system|rand|srand|assert)\s*\("
)
SLEEPS = {
    ".c": re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\("),
    ".py": re.compile(r"\b(time|asyncio)\.sleep\b|\bimport sleep\b"),
}
PROMISES = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + r"XX)\b")
GENERATED = ["*.pb-c.c", "*.pb-c.h", "*_pb2.py", "*_pb2_grpc.py"]
HOMES = re.compile(r"/(home|Users)/[A-Za-z]")

# Checkouts directly in one of these say nothing about a machine.
PLAIN_PARENTS = {"/", "/tmp", "/var/tmp", "/opt", "/srv", "/src", "/usr/src", "/usr/local/src"}
PUBLIC_PACKAGE_HOSTS = re.compile(r"(debian\.org|pypi\.org|npmjs\.org|golang\.org|pythonhosted\.org|github\.com)$")
PACKAGE_CONFIGURATION = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/*",
    "/etc/apt/apt.conf.d/*",
    "/etc/pip.conf",
    "~/.config/pip/pip.conf",
    "~/.npmrc",
]
PACKAGE_VARIABLES = ["PIP_INDEX_URL", "GOPROXY", "NPM_CONFIG_REGISTRY", "HTTP_PROXY", "HTTPS_PROXY"]

SPDX = "SPDX-License-Identifier: Apache-2.0"
SOURCE_NAMES = ["*.c", "*.h", "*.py", "*.lua", "*.cmake", "CMakeLists.txt", "*.proto", "*.sh"]
SKIPPED_DIRECTORIES = {".git", "build", "__pycache__", ".pytest_cache", "node_modules"}


class Source:
    """One file of the tree, read once."""

    def __init__(self, root, path):
        self.path = path
        self.name = str(path.relative_to(root))
        data = path.read_bytes()
        self.is_text = b"\0" not in data
        self.text = data.decode("utf-8", "replace") if self.is_text else ""
        self.lines = self.text.splitlines()
        self.is_c = path.suffix in (".c", ".h")
        self.code = strip_c(self.text).splitlines() if self.is_c else self.lines

    def is_in(self, patterns):
        return any(fnmatch.fnmatch(self.name, pattern) for pattern in patterns)


class Report:
    def __init__(self):
        self.violations = []
        self.notes = []

    def add(self, source, line, rule, text):
        name = source if isinstance(source, str) else source.name
        self.violations.append(f"{name}:{line}: {rule}: {text}")


TOKEN = re.compile(
    r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)


def strip_c(text):
    """The code without what comments and string literals say; lines stay where they are."""

    def blank(match):
        token = match.group(0)
        if token.startswith("/*"):
            return re.sub(r"[^\n]", " ", token)
        if token.startswith("//"):
            return "//"
        return token[0] + token[-1]

    return TOKEN.sub(blank, text)


def read_tree(root):
    for directory, names, files in os.walk(root):
        here = pathlib.Path(directory)
        names[:] = sorted(
            name
            for name in names
            if name not in SKIPPED_DIRECTORIES and not (here / name / "CMakeCache.txt").exists()
        )
        for name in sorted(files):
            path = here / name
            if path.is_file() and not path.is_symlink():
                yield Source(root, path)


INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(source):
    """(line, header, is_quoted) of every #include outside comments."""
    for number, (line, code) in enumerate(zip(source.lines, source.code), 1):
        match = INCLUDE.match(line)
        if match and code.lstrip().startswith("#"):
            yield number, match.group(2), match.group(1) == '"'


def floor_of(header):
    first = header.split("/")[0]
    return first if "/" in header and first in FLOORS else None


def allowed_floors(source):
    """The floors that a file may include, or None when it is not bound to any."""
    parts = source.name.split("/")
    if parts[0] == "server" and len(parts) > 2 and parts[1] in FLOORS:
        return FLOORS[parts[1]] | {parts[1]}
    if source.name.startswith(("client/c/", "client/grpc/")):
        return LIBRARY_FLOORS
    if source.name.startswith("client/cli/"):
        return set()
    if source.name.startswith("tests/unit/") and len(parts) > 3 and parts[2] in FLOORS:
        return unit_test_floors(parts[2])
    return None


def unit_test_floors(floor):
    """A unit test links its floor and what that floor links."""
    reachable = {floor}
    for below in FLOORS[floor]:
        reachable |= unit_test_floors(below)
    return reachable


def check_floors(source, report):
    allowed = allowed_floors(source)
    for number, header, is_quoted in includes(source):
        floor = floor_of(header) if is_quoted else None
        if header.startswith("../"):
            report.add(source, number, "floor", f'"{header}": name a header from its root')
        if allowed is not None and floor is not None and floor not in allowed:
            report.add(source, number, "floor", f'must not include the floor "{floor}" ({header})')
        if source.name.startswith("client/cli/") and is_quoted:
            local = source.path.parent / header
            if header not in [PUBLIC_HEADER, *GRPC_HEADERS] and not local.exists():
                report.add(source, number, "floor", f"the CLI uses public headers only, not {header}")


def check_confined(source, report):
    if not source.is_in(["server/*", "client/*"]):
        return
    for number, header, _ in includes(source):
        for pattern, places in CONFINED:
            if re.match(pattern, header) and not source.is_in(places):
                where = ", ".join(places) or "no file yet"
                report.add(source, number, "confined", f"<{header}> belongs in {where}")
        if source.is_in(PURE_FLOORS) and IMPURE_HEADERS.match(header):
            report.add(source, number, "pure", f"<{header}> brings I/O or a clock into this floor")


def functions(source):
    """(first line, last line) of every function body, by the shape clang-format gives them."""
    start = None
    for number, line in enumerate(source.code, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number
            start = None


def check_sizes(source, report):
    if not source.is_in(["server/*", "client/*"]):
        return
    if len(source.lines) > FILE_LINES_MAX:
        report.add(source, len(source.lines), "size", f"more than {FILE_LINES_MAX} lines")
    if not source.is_c:
        return
    for start, end in functions(source):
        length = end - start - 1
        if length > FUNCTION_LINES_MAX:
            report.add(
                source, start, "size", f"a function of {length} lines, over {FUNCTION_LINES_MAX}"
            )


def check_c(source, report):
    if not source.is_c:
        return
    for number, line in enumerate(source.code, 1):
        for match in BANNED_CALLS.finditer(line):
            report.add(source, number, "banned", f"{match.group(1)}()")
        if "//" in line:
            report.add(source, number, "comment", "write /* */")
        if re.match(r"\s*typedef\s+(struct|union|enum)\b", line):
            report.add(source, number, "typedef", "structs keep their keyword")
    for start, end in functions(source):
        for number in range(start, end):
            if re.match(r"\s*#\s*if", source.code[number - 1]):
                report.add(source, number, "ifdef", "inside a function")


def check_sleeps(source, report):
    if not source.name.startswith("tests/"):
        return
    pattern = SLEEPS.get(".c" if source.is_c else source.path.suffix)
    if pattern is None or source.name.startswith("tests/structure/"):
        return
    for number, line in enumerate(source.code, 1):
        if pattern.search(line):
            report.add(source, number, "sleep", "wait for a condition with a deadline instead")


def is_source(source):
    return source.is_in(["*/" + name for name in SOURCE_NAMES] + SOURCE_NAMES) or (
        source.lines[:1] and source.lines[0].startswith("#!")
    )


def check_text(source, report, forbidden):
    if is_source(source) and not any(SPDX in line for line in source.lines[:3]):
        report.add(source, 1, "spdx", f'no "{SPDX}" in the first lines')
    if source.is_in(GENERATED + ["*/" + name for name in GENERATED]):
        report.add(source, 1, "generated", "generated files are not committed")
    for number, line in enumerate(source.lines, 1):
        if PROMISES.search(line):
            report.add(source, number, "promise", "finish it or leave it out")
        for word in forbidden:
            # A path counts where it begins: /name/ is not in share/name/.
            if re.search((r"(?<![\w.}~-])" if word.startswith("/") else "") + re.escape(word), line):
                report.add(source, number, "machine", f'"{word}" is of one machine only')
        if HOMES.search(line):
            report.add(source, number, "machine", "a path of somebody's home")


def machine_words(root):
    """Paths and package hosts of this machine, which have no place in the tree."""
    words = {f"{root}/"} if str(root) != "/" else set()
    parent = str(root.parent)
    if parent not in PLAIN_PARENTS:
        words.add(parent.rstrip("/") + "/")
    texts = [os.environ.get(name, "") for name in PACKAGE_VARIABLES]
    for pattern in PACKAGE_CONFIGURATION:
        path = pathlib.Path(pattern).expanduser()
        for found in path.parent.glob(path.name) if path.parent.is_dir() else []:
            if found.is_file() and os.access(found, os.R_OK):
                texts.append(found.read_text(errors="replace"))
    for host in re.findall(r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]+\.[A-Za-z]{2,})", "\n".join(texts)):
        if not PUBLIC_PACKAGE_HOSTS.search(host):
            words.add(host)
    return sorted(words)


def symbols(archive, *flags):
    output = subprocess.run(
        ["nm", *flags, "--format=posix", str(archive)], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[0].split("@")[0] for line in output.splitlines() if len(line.split()) > 1}


def c_library():
    for compiler in ("cc", "gcc", "clang"):
        if shutil.which(compiler):
            command = [compiler, "-print-file-name=libc.so.6"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return None


def check_links(build_dir, report):
    """Every symbol that a floor's archive lacks must come from where LINKS says."""
    for floor, sources in LINKS.items():
        archives = {name: build_dir / f"lib/libholdfast_{name}.a" for name in [floor, *sources]}
        missing = [path for path in archives.values() if not path.exists()]
        for path in missing:
            report.add(str(path), 0, "links", "not built")
        if missing:
            continue
        known = symbols(c_library(), "-D", "--defined-only")
        for path in archives.values():
            known |= symbols(path, "--defined-only", "-g")
        for symbol in sorted(symbols(archives[floor], "--undefined-only") - known):
            if not RUNTIME_SYMBOLS.match(symbol):
                report.add(f"server/{floor}", 0, "links", f"{symbol} is not in {' or '.join(sources)}")


def clang_format_program():
    for name in (f"clang-format-{CLANG_FORMAT_VERSION}", "clang-format"):
        if shutil.which(name):
            output = subprocess.run([name, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {CLANG_FORMAT_VERSION}\.", output):
                return name
    return None


def check_format(root, sources, report):
    files = [source.name for source in sources if source.is_c]
    program = clang_format_program()
    if program is None:
        report.notes.append(f"format not checked: no clang-format {CLANG_FORMAT_VERSION} here")
    elif not (root / ".clang-format").exists():
        report.notes.append("format not checked: the tree has no .clang-format")
    elif files:
        result = subprocess.run(
            [program, "--dry-run", "-Werror", *files], cwd=root, capture_output=True, text=True
        )
        for name, line in sorted(set(re.findall(r"^([^:\s]+):(\d+):\d+: error", result.stderr, re.M))):
            report.add(name, line, "format", "not as clang-format has it")
        if result.returncode != 0 and ": error" not in result.stderr:
            report.add(".clang-format", 0, "format", result.stderr.strip() or "clang-format failed")


def check_tree(root, build_dir=None):
    root = pathlib.Path(root).resolve()
    report = Report()
    sources = list(read_tree(root))
    forbidden = machine_words(root)
    for source in sources:
        check_text(source, report, forbidden)
        check_sizes(source, report)
        check_c(source, report)
        check_sleeps(source, report)
        if source.is_c:
            check_floors(source, report)
            check_confined(source, report)
    check_format(root, sources, report)
    if build_dir is not None:
        check_links(pathlib.Path(build_dir), report)
    report.notes.append(f"{len(sources)} files checked")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build-dir", help="also check what the archives there link")
    arguments = parser.parse_args()
    report = check_tree(arguments.root, arguments.build_dir)
    for violation in report.violations:
        print(violation)
    for note in report.notes:
        print(note)
    print(f"{len(report.violations)} violations")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
