"""The arrows of the house: who may include whom, and what the archives may ask of the system.

The include scan reads sources; the symbol scan reads `nm` of the built archives, because a
declaration by hand needs no include. Each rule is also shown to catch a breach of it.
"""

import os
import pathlib
import re
import subprocess

import pytest

import house_tree

# Headers of the C library without files, clocks, threads or locale. math.h is here for the four
# functions; which of its names are used is the symbol scan's business.
PURE_HEADERS = {
    "assert.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdlib.h", "stdnoreturn.h", "string.h",
}
VECTOR_HEADERS = {"immintrin.h", "arm_neon.h", "cpuid.h", "xmmintrin.h"}
STANDARD_HEADERS = PURE_HEADERS | {"ctype.h", "errno.h", "stdio.h"}
POSIX = re.compile(
    r"(arpa|net|netinet|sys|linux)/[\w/]+\.h|(byteswap|ctype|endian|dirent|errno|fcntl|fenv|getopt|grp|libgen|locale|"
    r"malloc|netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|spawn|stdatomic|stdio|strings|"
    r"syslog|termios|threads|time|uchar|unistd)\.h")
SERVER_LIBRARIES = re.compile(r"(jansson|microhttpd|sqlite3|uv|zlib)\.h|nettle/[\w-]+\.h")

# room -> (rooms that it may include, test of a system header)
ROOMS = {
    "core": ({"core"}, lambda name: name in PURE_HEADERS | VECTOR_HEADERS),
    "schema": ({"core", "schema"}, lambda name: name in STANDARD_HEADERS | {"jansson.h", "stdatomic.h"}),
    "server": ({"core", "schema", "server"},
               lambda name: name in PURE_HEADERS | VECTOR_HEADERS or POSIX.fullmatch(name)
               or SERVER_LIBRARIES.fullmatch(name)),
    "clients": ({"clients"}, lambda name: True),
    "tests": ({"core", "schema", "server", "tests"}, lambda name: True),
    # Unit tests of a room see that room and what it may see, no more.
    "tests/core": ({"core", "tests"}, lambda name: True),
    "tests/schema": ({"core", "schema", "tests"}, lambda name: True),
}


def include_faults(root):
    faults = []
    for path in house_tree.files(root):
        if path.suffix not in house_tree.C_SUFFIXES:
            continue
        room = "/".join(path.parts[:2])
        if room not in ROOMS:
            room = path.parts[0]
        if room not in ROOMS:
            faults.append(f"{path}: C source outside the rooms")
            continue
        rooms, system_allowed = ROOMS[room]
        for own, system in house_tree.INCLUDE.findall(house_tree.read(root, path) or ""):
            target = pathlib.PurePath(own)
            if system:
                if not system_allowed(system):
                    faults.append(f"{path}: {room} may not include <{system}>")
            elif target.parts[0] not in rooms:
                faults.append(f'{path}: {room} may not include "{own}" (or it is not rooted)')
            elif target.suffix == ".c":
                faults.append(f'{path}: includes the source file "{own}"')
            elif not (root / own).is_file():
                faults.append(f'{path}: "{own}" does not exist')
    return faults


# What core may leave undefined: memory and string functions of libc, the allocator (in one object),
# four names of libm, and what compilers and the linker add by themselves.
CORE_SYMBOLS = re.compile(
    r"mem(cpy|move|set|cmp|chr)|str(len|nlen|cmp|ncmp|chr|rchr|spn|cspn|str)|qsort|bsearch|"
    r"(sqrt|fma|fabs|floor)f?|__(memcpy|memmove|memset|strcpy|strncpy)_chk|"
    r"__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__cpu_(model|indicator_init|features2)|"
    r"__(mul|div|udiv|umod|mod)\w+[34]|__(trunc|extend|fix|float)\w+")
ALLOCATOR = re.compile(r"malloc|calloc|realloc|free|aligned_alloc|posix_memalign")
ALLOCATOR_OBJECTS = {"arena.c.o"}
SCHEMA_FORBIDDEN = re.compile(
    r"(uv|MHD|sqlite3|pthread|mtx|thrd)_\w+|socket|connect|accept4?|bind|listen|f?open(64)?|exit|getenv")


def undefined_symbols(archive):
    """{symbol: set of object names} that no member of the archive defines."""
    def nm(*options):
        lines = subprocess.run(["nm", "-P", "-A", *options, archive], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        pairs = (re.match(r".*\[(.+)\]: (\S+)", line) for line in lines)
        return [pair.groups() for pair in pairs if pair]
    defined = {symbol for _, symbol in nm("--defined-only", "--extern-only")}
    undefined = {}
    for member, symbol in nm("--undefined-only"):
        symbol_name = symbol.split("@")[0]
        if symbol not in defined:
            undefined.setdefault(symbol_name, set()).add(member)
    return undefined


def core_symbol_faults(archive):
    faults = []
    for symbol, members in sorted(undefined_symbols(archive).items()):
        if ALLOCATOR.fullmatch(symbol):
            members = members - ALLOCATOR_OBJECTS
            if not members:
                continue
        elif CORE_SYMBOLS.fullmatch(symbol):
            continue
        faults.append(f"core needs {symbol} in {', '.join(sorted(members))}")
    return faults


def schema_symbol_faults(archive):
    return [f"schema needs {symbol} in {', '.join(sorted(members))}"
            for symbol, members in sorted(undefined_symbols(archive).items())
            if SCHEMA_FORBIDDEN.fullmatch(symbol)]


def shared_name_faults(archives):
    """Names that two archives define: the linker would take one of them silently for both."""
    owners = {}
    for archive in archives:
        lines = subprocess.run(["nm", "-P", "-g", "--defined-only", archive], check=True, text=True,
                               capture_output=True).stdout.splitlines()
        for name in {line.split()[0] for line in lines if len(line.split()) >= 2}:
            owners.setdefault(name, []).append(os.path.basename(archive))
    return [f"{name} is defined in {', '.join(found)}" for name, found in sorted(owners.items())
            if len(found) > 1]


def archive_of(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set (ctest sets it)")
    return path


def compiled(folder, name, text):
    """An archive of one object from C text."""
    house_tree.write(folder, name, text)
    subprocess.run(["cc", "-w", "-O0", "-fno-builtin", "-c", name, "-o", name + ".o"], cwd=folder,
                   check=True)
    subprocess.run(["ar", "rc", "lib.a", name + ".o"], cwd=folder, check=True)
    return folder / "lib.a"


def test_includes_follow_the_arrows():
    assert include_faults(house_tree.ROOT) == []


def test_core_archive_needs_only_what_core_may_use():
    assert core_symbol_faults(archive_of("BACKPROP_CORE_ARCHIVE")) == []


def test_schema_archive_needs_no_sockets_threads_or_database():
    assert schema_symbol_faults(archive_of("BACKPROP_SCHEMA_ARCHIVE")) == []


def test_no_name_is_defined_in_two_archives():
    assert shared_name_faults([archive_of(f"BACKPROP_{room}_ARCHIVE")
                               for room in ("CORE", "SCHEMA", "SERVER")]) == []


def test_shared_name_scan_catches(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = compiled(tmp_path / "one", "a.c", "double bp_log(double x) { return x; }")
    two = compiled(tmp_path / "two", "b.c", "void bp_log(int level) { (void)level; }")
    assert shared_name_faults([one]) == []
    assert len(shared_name_faults([one, two])) == 1


@pytest.mark.parametrize("path, text", [
    ("core/a.c", "#include <pthread.h>"),
    ("core/a.c", "#include <stdio.h>"),
    ("core/a.h", "  #  include <time.h>"),
    ("core/a.c", "#include <jansson.h>"),
    ("core/a.inc", '#include "schema/b.h"'),
    ("core/a.c", '#include "b.h"'),
    ("core/a.c", '#include "core/missing.h"'),
    ("core/a.c", '#include "core/b.c"'),
    ("schema/a.c", "#include <sqlite3.h>"),
    ("schema/a.c", "#include <threads.h>"),
    ("schema/a.c", '#include "server/b.h"'),
    ("server/a.c", "#include <cblas.h>"),
    ("server/a.c", '#include "clients/b.h"'),
    ("clients/a.c", '#include "core/b.h"'),
    ("tests/core/a.c", '#include "server/b.h"'),
    ("tests/schema/a.c", '#include "server/b.h"'),
    ("tests/fuzz/a.c", '#include "clients/b.h"'),
    ("extra/a.c", "int a;"),
])
def test_include_scan_catches(tmp_path, path, text):
    for room in ("core", "schema", "server", "clients"):
        house_tree.write(tmp_path, f"{room}/b.h", "")
        house_tree.write(tmp_path, f"{room}/b.c", "")
    assert include_faults(tmp_path) == []
    house_tree.write(tmp_path, path, f"#include <stddef.h>\n{text}\n")
    assert len(include_faults(tmp_path)) == 1


def test_include_scan_accepts_what_is_allowed(tmp_path):
    house_tree.write(tmp_path, "core/a.h", "#include <stdint.h>\n")
    house_tree.write(tmp_path, "schema/b.h", '#include <jansson.h>\n#include "core/a.h"\n')
    house_tree.write(tmp_path, "server/c.c", '#include <uv.h>\n#include "schema/b.h"\n')
    house_tree.write(tmp_path, "tests/server/d.c", '#include "core/a.h"\n#include <cmocka.h>\n')
    assert include_faults(tmp_path) == []


@pytest.mark.parametrize("call", [
    "pthread_self()", "fopen(0, 0)", "printf(0)", "snprintf(0, 0, 0)", "getenv(0)", "exit(0)",
    "exp(1.0)", "tanhf(1.0f)", "pow(2.0, 2.0)", "json_object()", "uv_now(0)", "time(0)", "rand()",
    "clock_gettime(0, 0)", "MHD_get_version()", "sqlite3_open(0, 0)", "malloc(1)", "round(1.0)",
])
def test_symbol_scan_catches(tmp_path, call):
    archive = compiled(tmp_path, "bad.c", f"void bp_bad(void) {{ {call}; }}")
    assert len(core_symbol_faults(archive)) == 1


def test_symbol_scan_accepts_what_is_allowed(tmp_path):
    archive = compiled(tmp_path, "arena.c", """
        #include <math.h>
        #include <stdlib.h>
        #include <string.h>
        void *bp_good(float x) { fmaf(x, x, x); floor(x); return memset(malloc(1), 0, 1); }""")
    assert core_symbol_faults(archive) == []


def test_schema_symbol_scan_catches(tmp_path):
    archive = compiled(tmp_path, "bad.c", "void bp_bad(void) { sqlite3_open(0, 0); }")
    assert len(schema_symbol_faults(archive)) == 1
