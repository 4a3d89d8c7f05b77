#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants small trees and proves that each rule of check.py bites, and that none bites for nothing."""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check  # noqa: E402

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HASH_HEAD = "# SPDX-License-Identifier: Apache-2.0\n"


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.directory.name) / "tree"
        self.root.mkdir()

    def tearDown(self):
        self.directory.cleanup()

    def plant(self, name, text, head=None):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if head is None:
            head = HEAD if path.suffix in (".c", ".h") else HASH_HEAD
        path.write_text(head + text)

    def violations(self, build_dir=None):
        return check.check_tree(self.root, build_dir).violations

    def assert_only(self, *expected):
        """Exactly these violations, each given by how it begins."""
        found = self.violations()
        self.assertEqual(len(found), len(expected), found)
        for begin in expected:
            self.assertTrue(any(line.startswith(begin) for line in found), (begin, found))

    # Floors

    def test_what_every_floor_may_include_passes(self):
        for floor, below in check.FLOORS.items():
            lines = "".join(f'#include "{name}/x.h"\n' for name in sorted(below | {floor}))
            self.plant(f"server/{floor}/a.c", lines)
        self.assert_only()

    def test_each_upward_and_sideways_include_fails(self):
        for floor, below in check.FLOORS.items():
            for other in set(check.FLOORS) - below - {floor}:
                with self.subTest(floor=floor, other=other):
                    self.plant(f"server/{floor}/a.c", f'#include "{other}/x.h"\n')
                    self.assert_only(f"server/{floor}/a.c:2: floor:")
                    shutil.rmtree(self.root / "server")

    def test_the_library_uses_base_and_wire_only(self):
        self.plant("client/c/src/a.c", '#include "base/x.h"\n#include "wire/y.h"\n')
        self.plant("client/c/src/b.c", '#include "lease/lease.h"\n')
        self.plant("client/grpc/a.c", '#include "wire/y.h"\n#include "stream.h"\n')
        self.plant("client/grpc/b.c", '#include "service/session.h"\n')
        self.assert_only("client/c/src/b.c:2: floor:", "client/grpc/b.c:2: floor:")

    def test_the_cli_uses_public_headers_only(self):
        self.plant("client/cli/run.h", "")
        self.plant("client/cli/a.c", '#include "run.h"\n#include "holdfast/holdfast.h"\n')
        self.plant("client/cli/b.c", '#include "wire/ttrpc.h"\n#include "src/connection.h"\n')
        self.plant("client/cli/c.c", '#include "grpc/grpc_call.h"\n#include "grpc/http2_client.h"\n')
        self.assert_only(
            "client/cli/b.c:2: floor: must not",
            "client/cli/b.c:2: floor: the CLI",
            "client/cli/b.c:3: floor: the CLI",
            "client/cli/c.c:3: floor: the CLI",
        )

    def test_relative_includes_fail(self):
        self.plant("server/lease/a.c", '#include "../redis/x.h"\n')
        self.assert_only("server/lease/a.c:2: floor:")

    def test_a_unit_test_stays_on_its_floor(self):
        self.plant("tests/unit/redis/test_a.c", '#include "lease/lease.h"\n#include "base/x.h"\n')
        self.plant("tests/unit/lease/test_a.c", '#include "redis/url.h"\n')
        self.assert_only("tests/unit/lease/test_a.c:2: floor:")

    def test_an_include_in_a_comment_is_none(self):
        self.plant("server/lease/a.c", '/*\n#include "redis/x.h"\n*/\n')
        self.assert_only()

    # Confined headers

    def test_confined_headers_fail_elsewhere(self):
        for header in (
            "hiredis/async.h",
            "nghttp2/nghttp2.h",
            "openssl/ssl.h",
            "holdfast/v1/locks.pb-c.h",
            "uthash.h",
            "yaml.h",
            "jansson.h",
            "systemd/sd-daemon.h",
        ):
            with self.subTest(header=header):
                self.plant("server/transport/listener.c", f"#include <{header}>\n")
                self.assert_only("server/transport/listener.c:2: confined:")

    def test_confined_headers_pass_at_home(self):
        self.plant("server/redis/connection.c", "#include <hiredis/async.h>\n")
        self.plant("server/transport/tls.c", "#include <openssl/ssl.h>\n")
        self.plant("server/wire/http2.c", "#include <nghttp2/nghttp2.h>\n")
        self.plant("client/grpc/http2_client.c", "#include <nghttp2/nghttp2.h>\n")
        self.plant("server/wire/a.c", '#include "ttrpc/ttrpc.pb-c.h"\n')
        self.plant("server/base/table.h", "#include <uthash.h>\n")
        self.plant("server/base/options_file.c", "#include <yaml.h>\n")
        self.plant("server/app/notify.c", "#include <systemd/sd-daemon.h>\n")
        self.plant("tests/bench/bench.c", "#include <hiredis/hiredis.h>\n")
        self.assert_only()

    def test_the_domain_does_no_io(self):
        self.plant("server/lease/a.c", "#include <event2/event.h>\n#include <time.h>\n")
        self.plant("server/wire/a.c", "#include <sys/socket.h>\n")
        self.assert_only(
            "server/lease/a.c:2: pure:", "server/lease/a.c:3: pure:", "server/wire/a.c:2: pure:"
        )

    # Links

    def build(self, floor, code):
        library = self.root / "build/lib"
        library.mkdir(parents=True, exist_ok=True)
        source = library / f"{floor}.c"
        source.write_text(code)
        subprocess.run(["cc", "-c", source, "-o", f"{source}.o"], check=True)
        subprocess.run(["ar", "rcs", library / f"libholdfast_{floor}.a", f"{source}.o"], check=True)

    def test_the_lease_floor_links_base_and_the_c_library(self):
        self.build("base", "int base_value(void) { return 1; }")
        self.build("lease", "#include <stdlib.h>\nint base_value(void);\n"
                   "int lease(void) { return base_value() + abs(1) + (getenv(\"A\") != 0); }")
        self.assertEqual(self.violations(self.root / "build"), [])

    def test_a_symbol_of_another_library_fails(self):
        self.build("base", "int base_value(void) { return 1; }")
        self.build("lease", "int redis_store_is_up(void);\nint x(void) { return redis_store_is_up(); }")
        found = self.violations(self.root / "build")
        self.assertEqual(len(found), 1, found)
        self.assertIn("redis_store_is_up", found[0])

    def test_missing_archives_fail(self):
        self.assertEqual(len(self.violations(self.root / "build")), 2)

    # Sizes

    def test_long_files_fail(self):
        self.plant("server/base/a.c", "\n" * (check.FILE_LINES_MAX - 1))
        self.plant("client/c/b.c", "\n" * check.FILE_LINES_MAX)
        self.assert_only(f"client/c/b.c:{check.FILE_LINES_MAX + 1}: size:")

    def test_long_functions_fail(self):
        body = "    x++;\n" * check.FUNCTION_LINES_MAX
        self.plant("server/base/a.c", f"void a(int x)\n{{\n{body}}}\n")
        self.plant("server/base/b.c", f"void a(int x)\n{{\n{body}    x++;\n}}\n")
        self.assert_only("server/base/b.c:3: size:")

    # Banned

    def test_banned_functions_fail(self):
        for name in "strcpy strcat sprintf gets strtok atoi system rand assert".split():
            with self.subTest(name=name):
                self.plant("server/base/a.c", f"int x = {name}(y);\n")
                self.assert_only("server/base/a.c:2: banned:")

    def test_their_safe_relatives_pass(self):
        self.plant(
            "server/base/a.c",
            "_Static_assert(1, u);\nint a = snprintf(b), c = my_system(d), e = assert_int(f);\n"
            'const char *g = "gets(h) // strcpy(i)";\n/* assert(j) */\n',
        )
        self.assert_only()

    def test_conditional_code_inside_functions_fails(self):
        self.plant("server/base/a.c", "#ifdef A\n#endif\nvoid a(void)\n{\n#ifdef A\n#endif\n}\n")
        self.assert_only("server/base/a.c:6: ifdef:")

    def test_line_comments_fail(self):
        self.plant("server/base/a.c", "int x; // no\n")
        self.assert_only("server/base/a.c:2: comment:")

    def test_typedefs_of_structs_fail(self):
        self.plant("server/base/a.h", "typedef struct x x_t;\ntypedef void x_fn(void);\n")
        self.assert_only("server/base/a.h:2: typedef:")

    def test_promises_fail(self):
        for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX"):
            with self.subTest(word=word):
                self.plant("docs/a.md", f"{word}: more\nmktemp -d /tmp/XXXXXX\n")
                self.assert_only("docs/a.md:2: promise:")

    def test_sleeping_tests_fail(self):
        self.plant("tests/e2e/test_a.py", "time.sleep" + "(1)\n")
        self.plant("tests/unit/base/test_a.c", "void a(void);\nint x = usleep(1);\n")
        self.plant("tests/e2e/test_b.py", "run(['sleep', '60'])\n")
        self.assert_only("tests/e2e/test_a.py:2: sleep:", "tests/unit/base/test_a.c:3: sleep:")

    # Text

    def test_missing_licences_fail(self):
        self.plant("server/base/a.c", "int x;\n", head="")
        self.plant("tests/run", "#!/bin/sh\necho\n", head="")
        self.plant("docs/a.md", "no licence line needed\n", head="")
        self.assert_only("server/base/a.c:1: spdx:", "tests/run:1: spdx:")

    def test_generated_files_fail(self):
        self.plant("proto/locks.pb-c.h", "")
        self.plant("tests/e2e/locks_pb2.py", "")
        self.assert_only("proto/locks.pb-c.h:1: generated:", "tests/e2e/locks_pb2.py:1: generated:")

    def test_paths_of_this_machine_fail(self):
        self.plant("docs/a.md", f"see {self.root}/docs and {self.root.parent}/other\n")
        self.plant("docs/b.md", "see /" + "home/somebody\n")
        found = self.violations()
        self.assertTrue(any(line.startswith("docs/a.md:2: machine:") for line in found), found)
        self.assertTrue(any(line.startswith("docs/b.md:2: machine:") for line in found), found)

    def test_package_hosts_of_this_machine_fail(self):
        configuration = self.root.parent / "pip.conf"
        configuration.write_text("index-url = https://user:secret@mirror.example.net/simple\n"
                                 "extra-index-url = https://pypi.org/simple\n")
        known, check.PACKAGE_CONFIGURATION = check.PACKAGE_CONFIGURATION, [str(configuration)]
        try:
            self.plant("docs/a.md", "from mirror.example.net\nfrom pypi.org\n")
            self.assert_only("docs/a.md:2: machine:")
        finally:
            check.PACKAGE_CONFIGURATION = known

    def test_build_directories_are_not_looked_at(self):
        self.plant("out/CMakeCache.txt", "")
        self.plant("out/a.c", "int x = atoi(y);\n", head="")
        self.assert_only()

    # Format

    def test_unformatted_code_fails(self):
        self.plant(".clang-format", "BasedOnStyle: LLVM\n")
        self.plant("server/base/a.c", "int  x;\n")
        if check.clang_format_program() is None:
            notes = check.check_tree(self.root).notes
            self.assertTrue(any(note.startswith("format not checked") for note in notes))
        else:
            self.assert_only("server/base/a.c:2: format:")

    # The command

    def test_exit_code_and_output(self):
        program = [sys.executable, check.__file__, "--root", str(self.root)]
        self.plant("server/base/a.c", "int x;\n")
        self.assertEqual(subprocess.run(program, capture_output=True).returncode, 0)
        self.plant("server/base/a.c", "int x = atoi(y);\n")
        result = subprocess.run(program, capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("server/base/a.c:2: banned: atoi()\n", result.stdout)


if __name__ == "__main__":
    unittest.main()
