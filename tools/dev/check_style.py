#!/usr/bin/env python3
"""The style of this repository as a test: one line per finding, and exit code 1 if there is any.

What a formatter cannot see is checked here: which room may include which, what a file must open
with, how long a line, a function and a file may be, and a few words that stand for unfinished work.
Each rule is a function from a file to findings, and each proves in --self-test that it can fire.
Needs nothing but Python and its library.

  tools/dev/check_style.py              check the tree
  tools/dev/check_style.py --self-test  check the rules on made-up files
"""
import functools
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
from layout import CXX, FLOORS, check_folders, floor_of  # noqa: E402: from this folder

ROOMS = ["kernels", "comm", "parallel", "tools"]  # an include may only point left
TOP_LEVEL = {"Makefile", "README.md", "LICENSE", "docs", "tests", *ROOMS}
COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_NOTE = 300
FILE_LINES_MAX = 400

# Who alone may include a foreign header: the rest of the tree must build without it.
FOREIGN_HEADERS = {
    "mpi.h": (r"comm/bootstrap/mpi_library\.cc|tools/baselines/mpi\.cc",
              "comm/bootstrap/mpi_library.cc and tools/baselines/mpi.cc"),
    "infiniband/verbs.h": (r"comm/transport/verbs/.*", "the verbs transport's files"),
    "nccl.h": (r"(tools|tests)/.*", "tools/ and tests/"),
    "gloo/": (r"tools/baselines/gloo\.cc", "tools/baselines/gloo.cc"),
}

# Who uses one of these names includes its header, himself or through headers of this tree.
STANDARD_HEADERS = {name: header for header, names in {
    "algorithm": "sort min max fill copy find_if any_of all_of clamp",
    "array": "array", "atomic": "atomic atomic_ref", "barrier": "barrier", "cmath": "sqrt isnan",
    "cstring": "memcpy memcmp memset strlen strerror", "functional": "function",
    "fstream": "ifstream ofstream", "map": "map", "memory": "unique_ptr shared_ptr make_unique",
    "mutex": "mutex lock_guard unique_lock", "optional": "optional nullopt", "span": "span",
    "sstream": "ostringstream istringstream", "string": "string to_string", "thread": "thread",
    "vector": "vector"}.items() for name in names.split()}


class File:
    """A file's path below the root, and its lines.  `exists` answers for include targets."""

    def __init__(self, path, text, exists=lambda path: (ROOT / path).is_file()):
        self.path, self.text, self.exists = path, text, exists
        self.lines = text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.is_cxx = path.endswith(CXX)


def includes(file):
    for number, line in enumerate(file.lines, 1):
        if match := re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line):
            yield number, match[1] == '"', match[2]


def rule_include_direction(file):
    room = file.path.split("/")[0]
    for number, quoted, target in includes(file) if file.is_cxx else ():
        if not quoted:
            continue
        target_room = target.split("/")[0]
        if not file.exists(target):
            yield number, f'"{target}" is no file: quoted includes are relative to the root'
        elif target_room == "tests" and room != "tests":
            yield number, f'"{target}": nothing outside tests/ includes tests/'
        elif room in ROOMS and target_room in ROOMS:
            if ROOMS.index(target_room) > ROOMS.index(room):
                yield number, f'"{target}": {room}/ may not include {target_room}/'


def rule_floors(file):
    if not file.is_cxx or not FLOORS.get(file.path.split("/")[0]):
        return
    here = floor_of(file.path)
    if here is None:
        yield 1, "stands on no floor: FLOORS in tools/dev/layout.py does not know this place"
        return
    for number, quoted, target in includes(file):
        there = floor_of(target) if quoted else None
        if there is None or target.split("/")[0] != file.path.split("/")[0]:
            continue
        if there[0] > here[0]:
            yield number, f'"{target}": {here[1]} may not include {there[1]}, which stands above it'
        elif there[0] == here[0] and there[1] != here[1] and "/" in there[1] and \
                (ROOT / there[1]).is_dir() and (ROOT / here[1]).is_dir():
            yield number, f'"{target}": {here[1]} may not include {there[1]}, its neighbour'


def rule_foreign_headers(file):
    for number, _, target in includes(file) if file.is_cxx else ():
        for header, (allowed, who) in FOREIGN_HEADERS.items():
            here = target.startswith(header) if header.endswith("/") else target == header
            if here and not re.fullmatch(allowed, file.path):
                yield number, f"<{header}> is for {who} alone"


@functools.cache
def included_through(path):
    """The standard headers that come with a file of the tree, and with what it includes."""
    found, file = set(), File(path, (ROOT / path).read_text(encoding="utf-8"))
    for _, quoted, target in includes(file):
        if not quoted:
            found.add(target)
        elif file.exists(target):
            found |= included_through(target)
    return found


def rule_standard_headers(file):
    """The build's precompiled headers would hide that one is missing."""
    if not file.is_cxx:
        return
    here = {target for _, quoted, target in includes(file) if not quoted}
    for _, quoted, target in includes(file):
        if quoted and (ROOT / target).is_file():
            here |= included_through(target)
    for number, line in enumerate(without_comments_and_strings(file.text).split("\n"), 1):
        for name in re.findall(r"\bstd::(\w+)", line):
            header = STANDARD_HEADERS.get(name)
            if header and header not in here:
                here.add(header)  # said once a file
                yield number, f"std::{name} without #include <{header}>"


def rule_story(file):
    """A file opens with its story: a comment of at least a sentence."""
    if file.path.endswith(CXX):
        comment = r"//+ ?(.*)"
    elif file.path.endswith((".sh", ".py")):
        comment = r"# ?(.*)"
    else:
        return
    story = []
    for line in file.lines:
        if line.startswith("#!"):
            continue
        if file.path.endswith(".py") and line.startswith('"""') and not story:
            story.append(file.text.split('"""')[1])
            break
        if not (match := re.match(comment, line)):
            break
        story.append(match[1])
    if not re.search(r"(\w+\W+){3,}\w+\W*[.:?!]", " ".join(story)):
        yield 1, "a file opens with its story: a comment of at least one sentence"


def rule_pragma_once(file):
    if file.path.endswith(".h") and "#pragma once" not in file.lines:
        yield 1, "a header has #pragma once"


def rule_lines(file):
    makefile = file.path.endswith("Makefile")
    for number, line in enumerate(file.lines, 1):
        if len(line) > COLUMNS_MAX and not file.path.endswith(".md"):
            yield number, f"{len(line)} columns; at most {COLUMNS_MAX}"
        if "\t" in line and not makefile:
            yield number, "a tab"
        if line != line.rstrip():
            yield number, "spaces at the end of the line"
    if file.text and not file.text.endswith("\n"):
        yield len(file.lines), "the last line does not end"


def rule_words(file):
    for number, line in enumerate(file.lines, 1):
        # The words are spelled apart here, or this line would find itself.
        if match := re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", line):
            yield number, f"{match[1]}: finish it, or say in a sentence what is left out and why"
        if file.is_cxx and "std::" "endl" in line:
            yield number, "std::" "endl flushes; write '\\n'"
        if file.path.endswith(".h") and re.match(r"\s*using\s+namespace\b", line):
            yield number, "a header brings a whole namespace into its readers"
        if file.is_cxx and re.search(r"_mm\d*_stream_|movnt|nontemporal_store", line) \
                and file.path not in ("kernels/copy.cc", "tests/kernels/streaming.cc"):
            yield number, "only kernels/copy.cc stores past the caches: its Stream ends in a fence"


def without_comments_and_strings(text):
    """The same text with comments and literals blanked out, line for line."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|R\"(\w*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.S)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def functions(file):
    """(first line, number of lines) of each function body, told from other braces by its head.

    The text up to a brace, back to the last `;`, `{` or `}`, is the head.  A namespace, a type or
    an initialiser is looked into; anything else outside a function whose head has a parameter list
    is a function, and its inner braces are its own affair.
    """
    head, head_line, line, stack = "", 1, 1, []
    for char in without_comments_and_strings(file.text):
        if char == "\n":
            line += 1
        if not head.strip():
            head_line = line
        if char == "{":
            transparent = re.search(r"\b(namespace|class|struct|union|enum|extern)\b[^()=]*$", head)
            is_function = (")" in head and not transparent and not any(stack)
                           and not head.rstrip().endswith("="))
            stack.append(head_line if is_function else 0)
            head = ""
        elif char == "}":
            if stack and (start := stack.pop()):
                yield start, line - start + 1
            head = ""
        elif char == ";":
            head = ""
        elif char == "\n" and head.lstrip().startswith("#") and not head.endswith("\\"):
            head = ""
        else:
            head += char


def rule_function_length(file):
    for start, length in functions(file) if file.is_cxx else ():
        if length > FUNCTION_LINES_MAX:
            yield start, f"a function of {length} lines; at most {FUNCTION_LINES_MAX}"


def rule_file_length(file):
    if not file.path.endswith(".md") and len(file.lines) > FILE_LINES_MAX:
        yield len(file.lines), f"{len(file.lines)} lines; at most {FILE_LINES_MAX}, one idea a file"


def rule_is_built(file):
    """The build finds sources by glob; a source that no glob finds would rot unseen."""
    if file.path.endswith((".cc", ".cu")):
        places = (r"(kernels|comm|parallel)/.*|(tools|tests)/([^/]*/)?[^/]*\.cc|tests/cuda/.*|"
                  r"docs/example/[^/]*\.cc")  # by its own Makefile, in tests/launcher/install.cc
        if not re.fullmatch(places, file.path):
            yield 1, "no rule of tools/dev/configure.sh builds a source in this place"


RULES = [rule_include_direction, rule_floors, rule_foreign_headers, rule_standard_headers,
         rule_story,
         rule_pragma_once, rule_lines, rule_words,
         rule_function_length, rule_file_length, rule_is_built]


def check_top_level(names):
    for name in sorted(names):
        if not name.startswith(".") and name not in TOP_LEVEL:
            yield f"{name}:1: the top level holds only {', '.join(sorted(TOP_LEVEL))}"


def tree():
    """Tracked files and new ones that git does not ignore; every file where there is no git."""
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True)
    if listing.returncode == 0:
        paths = listing.stdout.split("\n")
    else:
        paths = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not path.is_symlink()]
        paths = [path for path in paths if not re.match(r"build/|\.git/|.*__pycache__", path)]
    text_files = r".*\.(h|cc|cu|sh|py|md|clang-\w+|gitignore)|Makefile|LICENSE|\.ci/run"
    return sorted(path for path in paths if path and (ROOT / path).is_file()
                  and re.fullmatch(text_files, path)), paths


def check_tree():
    checked, paths = tree()
    findings = list(check_top_level({path.split("/")[0] for path in paths if path} - {"build"}))
    findings += check_folders(checked, lambda path: (ROOT / path).read_text(encoding="utf-8"))
    for path in checked:
        file = File(path, (ROOT / path).read_text(encoding="utf-8"))
        for rule in RULES:
            findings += [f"{path}:{number}: {sentence}" for number, sentence in rule(file)]
        if FILE_LINES_NOTE < len(file.lines) <= FILE_LINES_MAX and not path.endswith(".md"):
            print(f"note: {path} has {len(file.lines)} lines; is it one idea?")
    for finding in findings:
        print(finding)
    print(f"style: {len(checked)} files, {len(findings)} findings")
    return 1 if findings else 0


STORY = "// A file that tells its own story in a sentence.\n"
LONG_FUNCTION = "  int f(int a)\n    const {\n" + "    a += 1;\n" * 70 + "  }\n"
# (rule, path, text that breaks it, the same idea done right)
MUTANTS = [
    (rule_include_direction, "comm/a.h", '#include "parallel/b.h"', '#include "kernels/b.h"'),
    (rule_include_direction, "tools/a.cc", '#include "tests/b.h"', '#include "comm/b.h"'),
    (rule_include_direction, "comm/a.cc", '#include "missing.h"', '#include "comm/b.h"'),
    (rule_foreign_headers, "tools/a.cc", "#include <mpi.h>", "#include <map>"),
    (rule_foreign_headers, "comm/a.cc", "#include <nccl.h>", "#include <map>"),
    (rule_foreign_headers, "comm/a.cc", "#include <gloo/reduce.h>", "#include <map>"),
    (rule_foreign_headers, "tools/baselines/mpi.cc", "#include <gloo/config.h>",
     "#include <mpi.h>"),
    (rule_foreign_headers, "comm/tcp.cc", "#include <infiniband/verbs.h>", "#include <map>"),
    (rule_standard_headers, "comm/a.cc", "std::map<int, int> a;\n",
     "#include <map>\nstd::map<int, int> a;\n"),
    (rule_standard_headers, "tests/a.cc", '#include "comm/version.h"\nstd::string a;\n',
     '#include "tests/support/process.h"\nstd::string a;\n'),
    (rule_story, "comm/a.cc", "#include <map>\n", STORY),
    (rule_story, "comm/a.cc", "// ring\n", STORY),
    (rule_story, "tools/a.py", "import re\n", '"""What this script does, in a sentence."""\n'),
    (rule_story, "tools/a.sh", "#!/bin/sh\nset -eu\n", "#!/bin/sh\n# It does this and that.\n"),
    (rule_pragma_once, "comm/a.h", STORY, STORY + "#pragma once\n"),
    (rule_lines, "comm/a.cc", "x" * 101 + "\n", "x" * 100 + "\n"),
    (rule_lines, "comm/a.cc", "\tint a;\n", "  int a;\n"),
    (rule_lines, "comm/a.cc", "int a; \n", "int a;\n"),
    (rule_lines, "comm/a.cc", "int a;", "int a;\n"),
    (rule_words, "comm/a.cc", "// TO" "DO later\n", "// Left out: trees.\n"),
    (rule_words, "comm/a.cc", "out << std::" "endl;\n", "out << '\\n';\n"),
    (rule_words, "comm/a.h", "using namespace std;\n", "using std::map;\n"),
    (rule_words, "comm/a.cc", "_mm_stream" "_si128(to, part);\n", "stream.copy(to, from, n);\n"),
    (rule_function_length, "comm/a.cc", "struct S {\n" + LONG_FUNCTION + "};\n",
     "struct S {\n" + LONG_FUNCTION.replace("    a += 1;\n", "", 3) + "};\n"),
    (rule_function_length, "comm/a.cc", "namespace n {\n" + LONG_FUNCTION + "}\n",
     "namespace n {\n// {\n" + "int a;\n" * 80 + "const char c = '{';\n}\n"),
    (rule_file_length, "comm/a.cc", "int a;\n" * 401, "int a;\n" * 400),
    (rule_is_built, "tools/deep/er/a.cc", STORY, None),
    (rule_floors, "comm/host/a.h", '#include "comm/communicator.h"\n',
     '#include "comm/util/fd.h"\n'),
    (rule_floors, "comm/transport/a.h", '#include "comm/transport/shm/shm.h"\n',
     '#include "comm/transport/b.h"\n'),
    (rule_floors, "comm/verify/a.h", '#include "comm/cost/machine.h"\n',
     '#include "comm/algorithms/ring.h"\n'),
    (rule_floors, "tools/measure/a.h", '#include "tools/report/table.h"\n',
     '#include "tools/limits/probe.h"\n'),
    (rule_floors, "comm/attic/a.h", STORY, None),
]


def self_test():
    there = {"comm/b.h", "kernels/b.h", "parallel/b.h", "tests/b.h"}
    broken = 0
    for rule, path, wrong, right in MUTANTS:
        fires = bool(list(rule(File(path, wrong, there.__contains__))))
        quiet = right is None or not list(rule(File(path, right, there.__contains__)))
        if not (fires and quiet):
            what = "does not fire on" if not fires else "fires on"
            print(f"self-test: {rule.__name__} {what} {wrong if not fires else right!r}")
            broken += 1
    if list(check_top_level(["extra.txt"])) == [] or list(check_top_level(["comm", ".ci"])):
        print("self-test: check_top_level does not see an unexpected name")
        broken += 1
    many = [f"{name}.h" for name in "abcdefghijklmnopq"]
    one = ["comm/a/README.md", "comm/a/b.h"]
    order = "[b](util/README.md) [a](algorithms/README.md)"
    for files, text in ((["comm/a/b.h"], ""), (["comm/a/README.md"], "line\n" * 16),
                        (["comm/many/README.md", *(f"comm/many/{name}" for name in many)],
                         " ".join(f"`{name}`" for name in many)),
                        (one, "line\n"), (one, "`b.h`, `c.h`\n"),
                        (["comm/README.md"], " ".join(reversed(order.split())))):
        if not list(check_folders(files, lambda path: text)):
            print(f"self-test: check_folders does not fire on {files}, {text!r}")
            broken += 1
    for files, text in ((one, "`b.h`\n" * 15), (["comm/README.md"], order)):
        if found := list(check_folders(files, lambda path: text)):
            print(f"self-test: check_folders fires on a folder in order: {found}")
            broken += 1
    untested = {rule.__name__ for rule in RULES} - {mutant[0].__name__ for mutant in MUTANTS}
    for name in sorted(untested):
        print(f"self-test: {name} has no self-test")
    return 1 if broken or untested else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(check_tree())
