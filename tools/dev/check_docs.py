#!/usr/bin/env python3
"""The freshness of the documents as a test: what they quote is what the tree holds and prints.

In README.md and docs/*.md a fence may say where its text comes from:

  ```cpp file=comm/algorithms/ring.h symbol=ring_reduce_scatter [with=comment]
      the text of that function, type or constant, found by name, up to its closing brace or `;`;
      it must have a body or a value there: a call and a bare declaration show nothing
  ```text cmd="./tools/ring_allreduce --threads 4" [filter=timing] [grep="regex"] [head=N]
          [lines=A-B] (all on one line)
      what the command prints, run from the root with a minute's time; filter=timing compares
      without what differs from run to run: decimals, process ids, the host's name, column widths

Relative links, their #anchors, and paths and tests in backticks must lead somewhere.

  tools/dev/check_docs.py [--check]     print a diff for each stale fence; exit code 1 if any
  tools/dev/check_docs.py --update      rewrite the stale fences
  tools/dev/check_docs.py --self-test   prove on a made-up tree that each check can fail
"""
import difflib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
from check_style import without_comments_and_strings  # noqa: E402: from this folder
from commands import ROOT, end_of_self_test  # noqa: E402

COMMAND_TIMEOUT_S = 60
STALE_FENCE = "this fence is stale (make docs)"


class Stale(Exception):
    """A sentence about what a document says and the tree does not."""


def declaration_end(code, position):
    """The index after the declaration at `position`: its `;`, or its body's closing brace."""
    depth, braces = 0, 0
    for index in range(position, len(code)):
        char = code[index]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0 and char == "}":
                braces = index
                # A function ends here; a type, or an initialiser, at the `;` that follows.
                rest = code[index + 1:].lstrip()
                if not rest.startswith((";", ",", "{")):
                    return index + 1
        elif char == ";" and depth == 0:
            return index + 1
    raise Stale("its braces do not match" if braces == 0 else "it has no end")


def defines(code):
    """Whether what follows a name is a body or a value, and not a declaration that stands alone."""
    outside = code
    while (less := re.sub(r"\([^()]*\)", " ", outside)) != outside:
        outside = less
    return "{" in outside or re.search(r"=(?!\s*(0|default|delete)\s*;)", outside) is not None


def symbol_text(text, symbol, with_comment=False):
    """The text of the definition of `symbol`."""
    code = without_comments_and_strings(text)  # only code's braces are left
    name = re.escape(symbol.split("::")[-1])
    found = []
    for match in re.finditer(rf"\b{name}\b", code):
        # Back to the start of the declaration: after the previous `;`, brace, access or #line.
        before = code[:match.start()]
        start = max((m.end() for m in re.finditer(r"[;{}]|^[ \t]*#[^\n]*$|\w+:(?!:)[ \t]*$",
                                                  before, flags=re.M)), default=0)
        start += len(code[start:]) - len(code[start:].lstrip())
        head = code[start:match.start()]
        after = code[match.end():].lstrip()
        is_type = re.search(r"\b(struct|class|enum|union|concept|using)\s+(class\s+)?"
                            r"(\[\[.*?\]\]\s*|alignas\(\w+\)\s*)?(\w+\s+)?$", head)
        # Behind a type, or behind __launch_bounds__(n), and before what a declaration goes on with.
        is_named = (re.search(r"([\w>&*\]]|__\(\w+\))\s*(\w+(<\w+>)?::)*~?$", head)
                    and after.startswith(("(", "=", "{", "[", "<")))
        calls = re.search(r"\b(return|throw|new|case|goto|else)\s*$|([=(,.!?+/|-]|->)\s*$", head)
        if not (is_type or is_named) or calls or head.count("(") != head.count(")"):
            continue
        end = declaration_end(code, match.end())
        found.append((defines(code[match.end():end]), start, end))
    if not found:
        raise Stale(f"there is no declaration of {symbol}")
    definitions = [one for one in found if one[0]]
    if not definitions:
        raise Stale(f"{symbol} has no body here; quote the file that defines it")
    _, start, end = definitions[0]
    start = text.rfind("\n", 0, start) + 1
    if with_comment:
        while (line := text[:start].rstrip("\n").rsplit("\n", 1)[-1]).lstrip().startswith("//"):
            start -= len(line) + 1
            if text[start:].startswith("\n"):
                break
    lines = text[start:end].split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines)


def without_timing(text):
    """`~` for what differs from run to run; single spaces, as columns move with their digits."""
    text = text.replace(socket.gethostname(), "~")
    text = re.sub(r"\bpid \d+", "pid ~", text)
    text = re.sub(r"\d+\.\d+(e[-+]?\d+)?", "~", text)
    return re.sub(r"(?<=\S)[ \t]+", " ", text)


def command_text(root, options):
    try:
        done = subprocess.run(options["cmd"], shell=True, cwd=root, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise Stale(f"`{options['cmd']}` took more than {COMMAND_TIMEOUT_S} s") from None
    if done.returncode not in (0, int(options.get("exit", 0))):
        raise Stale(f"`{options['cmd']}` ended with exit code {done.returncode}:\n{done.stdout}")
    lines = [line.rstrip() for line in done.stdout.rstrip().split("\n")]
    if "grep" in options:
        lines = [line for line in lines if re.search(options["grep"], line)]
    if "lines" in options:
        first, last = map(int, options["lines"].split("-"))
        lines = lines[first - 1:last]
    if "head" in options:
        lines = lines[:int(options["head"])]
    return "\n".join(lines)


def wanted_text(root, options):
    """What a fence must hold; None for a fence that quotes nothing."""
    if "cmd" in options:
        return command_text(root, options)
    if "file" not in options:
        return None
    source = root / options["file"]
    if not source.is_file():
        raise Stale(f"there is no file {options['file']}")
    text = source.read_text()
    if "symbol" not in options:
        return text.rstrip("\n")
    return symbol_text(text, options["symbol"], options.get("with") == "comment")


def check_fences(root, document, text):
    """(the text with fresh fences, the findings in it as it stands)."""
    findings, fresh = [], []
    lines = text.split("\n")
    index = 0
    while index < len(lines):
        fresh.append(lines[index])
        opening = re.match(r"(`{3,})(\S+)?(.*)$", lines[index])
        index += 1
        if not opening:
            continue
        start = index
        while index < len(lines) and lines[index] != opening[1]:
            index += 1
        body = "\n".join(lines[start:index])
        try:
            options = dict(word.split("=", 1) for word in shlex.split(opening[3]) if "=" in word)
            wanted = wanted_text(root, options)
            same = without_timing if options.get("filter") == "timing" else str
            if wanted is not None and same(wanted) != same(body):
                diff = difflib.unified_diff(body.split("\n"), wanted.split("\n"),
                                            "document", "tree", n=1, lineterm="")
                findings.append(f"{document}:{start}: {STALE_FENCE}\n" + "\n".join(diff))
                body = wanted
        except (Stale, ValueError) as stale:
            findings.append(f"{document}:{start}: {stale}")
        fresh += body.split("\n") if index > start or body else []
        fresh += lines[index:index + 1]
        index += 1
    return "\n".join(fresh), findings


def without_fences(text):
    return re.sub(r"^(`{3,}).*?^\1$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)


def anchors(text):
    """The anchors that GitHub gives to the headings of a document."""
    names = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for title in re.findall(r"^#+\s+(.*?)\s*$", without_fences(text), flags=re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        while name in names:
            name = re.sub(r"-(\d+)$|$", lambda m: f"-{int(m[1] or 0) + 1}", name, count=1)
        names.add(name)
    return names


def names_of_tests(root):
    """The `suite.name` of every test."""
    return {".".join(name) for file in (root / "tests").rglob("*.cc")
            for name in re.findall(r"RINGSIDE_TEST\((\w+),\s*(\w+)", file.read_text())}


def check_tests(document, text, tests):
    """A test that a document names exists: `suite.name`, where the suite is one; `*` is any."""
    suites = {test.split(".")[0] for test in tests}
    for number, line in enumerate(without_fences(text).split("\n"), 1):
        for suite, name in re.findall(r"`(\w+\*?)\.(\w*\*?)`", line):
            pattern = f"{suite}.{name}".replace(".", r"\.").replace("*", ".*")
            if (suite in suites or "*" in suite) and not any(
                    re.fullmatch(pattern, test) for test in tests):
                yield f"{document}:{number}: there is no test {suite}.{name}"


def check_links(root, document, text):
    prose = without_fences(text)
    for number, line in enumerate(prose.split("\n"), 1):
        for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", re.sub(r"`[^`]*`", "", line)):
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (root / document).parent / path if path else root / document
            if not file.exists():
                yield f"{document}:{number}: the link {target} leads nowhere"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
                yield f"{document}:{number}: {path or document} has no heading #{anchor}"
        for path in re.findall(r"`((?:comm|kernels|parallel|tests|tools|docs)/[\w./-]*)`", line):
            # A program is named without a suffix; its source says whether there is one.
            if not (root / path).exists() and not (root / f"{path}.cc").exists():
                yield f"{document}:{number}: there is no {path}"


def check_tree(root, update=False):
    findings, tests = [], names_of_tests(root)
    documents = sorted((root / "docs").rglob("*.md"))
    if (root / "README.md").exists():
        documents.insert(0, root / "README.md")
    for path in documents:
        name, text = str(path.relative_to(root)), path.read_text()
        fresh, stale = check_fences(root, name, text)
        if update:
            if fresh != text:
                path.write_text(fresh)
            text, stale = fresh, [one for one in stale if STALE_FENCE not in one]
        findings += stale + list(check_links(root, name, text))
        findings += check_tests(name, text, tests)
    return documents, findings


SOURCE = '''// A story.
template <int N>
constexpr int twice(int a) {  // } a brace that is none
  const char* text = "}";
  return N * a + (text ? helper(a) : 0);
}
int helper(int a = 1);
int helper(int a) { return a; }
int elsewhere(int a, Pair pair = {}), nowhere();
constexpr int kSlots = 8;
// Says why.
// In two lines.
struct Pair {
  int left = 0, right{1};
  int sum() const { return left + right; }
};
inline Pair pair_of(const Pair& a) { return helper(1) ? a : Pair{}; }
struct Late;
template <class T>
struct Holder {
  void out_of_line();
  virtual void pure(int a) = 0;
};
template <class T>
void Holder<T>::out_of_line() { impl_->called(Pair{}); }
enum class Kind { a, b };
template <class T>
__global__ void __launch_bounds__(256) kernel(T* out) { out[0] = helper(2); }
struct alignas(64) Cell {
  Cell() : a{1}, b(2) { a = b; }
};
'''

SYMBOLS = {  # what each name must find: its first and last line
    "twice": ("template <int N>", "}"),
    "helper": ("int helper(int a) { return a; }",) * 2,
    "kSlots": ("constexpr int kSlots = 8;",) * 2,
    "Pair": ("struct Pair {", "};"),
    "Pair::sum": ("int sum() const { return left + right; }",) * 2,
    "pair_of": ("inline Pair pair_of(const Pair& a) { return helper(1) ? a : Pair{}; }",) * 2,
    "Holder<T>::out_of_line": ("template <class T>",
                               "void Holder<T>::out_of_line() { impl_->called(Pair{}); }"),
    "Kind": ("enum class Kind { a, b };",) * 2,
    "kernel": ("template <class T>",
               "__global__ void __launch_bounds__(256) kernel(T* out) { out[0] = helper(2); }"),
    "Cell": ("struct alignas(64) Cell {", "};"),
}

BODILESS = ["elsewhere", "nowhere", "Late", "Holder::pure", "called"]

FRESH = '''# A title: here
See [above](#a-title-here), [the source](../comm/a.h), `comm/a.h`; `ring.sums`, `ring*.*`.
```cpp file=comm/a.h symbol=kSlots
constexpr int kSlots = 8;
```
```text cmd="printf 'x 1.25 us\\\\ny 2\\\\n'" filter=timing
x 7.5 us
y 2
```
'''

# Each spoils the fresh document in one place, and must be found.
SPOILS = [("kSlots = 8", "kSlots = 4"), ("y 2\n```", "y 3\n```"), ("#a-title-here", "#no-title"),
          ("../comm/a.h", "../comm/b.h"), ("`comm/a.h`", "`comm/b.h`"),
          ("ring.sums", "ring.sum"), ("ring*.*", "gong*.*"),
          ("symbol=kSlots", "symbol=kNo"), ("file=comm/a.h", "file=comm/b.h"),
          ('cmd="printf', 'cmd="exit 1; printf')]


def self_test():
    failures = []
    for symbol, (first, last) in SYMBOLS.items():
        lines = symbol_text(SOURCE, symbol).split("\n")
        if (lines[0], lines[-1]) != (first, last):
            failures.append(f"{symbol} is found as {lines}")
    for symbol in BODILESS:
        try:
            found = symbol_text(SOURCE, symbol)
            failures.append(f"{symbol}, which has no body, is found as {found}")
        except Stale:
            pass
    if not symbol_text(SOURCE, "Pair", True).startswith("// Says why.\n// In two lines.\nstruct"):
        failures.append("with=comment does not bring the comment")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in (("comm/a.h", SOURCE), ("docs/a.md", FRESH),
                           ("tests/a.cc", "RINGSIDE_TEST(ring, sums) {}\n")):
            (root / name).parent.mkdir()
            (root / name).write_text(text)
        failures += check_tree(root)[1]
        for right, wrong in SPOILS:
            (root / "docs/a.md").write_text(FRESH.replace(right, wrong, 1))
            if len(check_tree(root)[1]) != 1:
                failures.append(f"'{wrong}' in place of '{right}' gives {check_tree(root)[1]}")
        (root / "docs/a.md").write_text(FRESH.replace("kSlots = 8", "kSlots = 4", 1))
        check_tree(root, update=True)
        if (root / "docs/a.md").read_text() != FRESH:
            failures.append("--update does not restore a stale fence")
    return end_of_self_test(failures)


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    documents, findings = check_tree(ROOT, "--update" in arguments)
    for finding in findings:
        print(finding)
    print(f"docs: {len(documents)} documents, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
