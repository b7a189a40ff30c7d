#!/usr/bin/env python3
"""ninja_less: carries out a build.ninja of tools/dev/configure.sh where there is no Ninja.

  tools/dev/configure.sh release && tools/dev/ninja_less.py [-n] [-j JOBS] [TARGET…]

Written for tools/gpu_check.sh, which must get by on a machine that has a compiler and little else.
It knows as much of Ninja's language as configure.sh uses, and is more careful where Ninja is
cleverer: what is older than the build.ninja, or than any header it may have read, is made anew.
-n says what would be made and makes nothing. Exit status: 0; 1 if a command failed; 2 a bad file
or target.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BadFile(Exception):
    """A sentence about what cannot be understood."""


class Edge:
    """One build statement: what it makes, of what, and by which rule."""

    def __init__(self, outputs, rule, inputs, implicit):
        self.outputs, self.rule, self.inputs, self.implicit = outputs, rule, inputs, implicit
        self.variables = {}


def read_lines(text):
    """Logical lines: a `$` at the end of one joins the next."""
    return re.sub(r"\$\n\s*", "", text).split("\n")


def expand(text, *scopes):
    """`$name` and `${name}` from the first scope that has it; `$x` for other characters is x."""
    def value(match):
        name = match[1] or match[2]
        if name is None:
            return match[3]
        return next((scope[name] for scope in scopes if name in scope), "")
    return re.sub(r"\$(?:(\w+)|\{(\w+)\}|(.))", value, text)


def read_build_file(path):
    """(variables, rules, {output: edge}, edges in order)."""
    variables, rules, edges, inner = {}, {}, [], {}
    for line in read_lines(path.read_text()):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            name, _, value = line.partition("=")
            inner[name.strip()] = value.strip()
        elif line.startswith("rule "):
            inner = rules[line.split()[1]] = {}
        elif line.startswith("build "):
            outputs, _, rest = line[len("build "):].partition(": ")
            rule, *words = rest.split()
            implicit = words[words.index("|") + 1:] if "|" in words else []
            inputs = words[:words.index("|")] if "|" in words else words
            if rule != "phony" and rule not in rules:
                raise BadFile(f"{path}: there is no rule '{rule}'")
            edges.append(Edge(outputs.split(), rule, inputs, implicit))
            inner = edges[-1].variables
        else:
            name, is_variable, value = line.partition("=")
            if not is_variable:
                raise BadFile(f"{path}: '{line}' is not understood")
            variables[name.strip()], inner = expand(value.strip(), variables), {}
    return variables, rules, {out: edge for edge in edges for out in edge.outputs}, edges


def command_of(edge, rules, variables):
    special = {"in": " ".join(edge.inputs), "out": " ".join(edge.outputs)}
    own = {name: expand(value, variables) for name, value in edge.variables.items()}
    return expand(rules[edge.rule]["command"], special, own, variables)


def time_of(path):
    try:
        return (ROOT / path).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def read_depfile(path):
    """What the compiler has read for it, as `-MMD -MF` writes it down; None if it has not."""
    try:
        return (ROOT / path).read_text().replace("\\\n", " ").split()[1:]
    except FileNotFoundError:
        return None


class Tree:
    """The statements that the targets need, and which of them are to be carried out."""

    def __init__(self, path, targets):
        self.path = path
        self.variables, self.rules, self.by_output, edges = read_build_file(path)
        unknown = [target for target in targets if target not in self.by_output]
        if unknown:
            raise BadFile(f"{path}: nothing makes '{unknown[0]}'")
        self.order, seen = [], set()
        for target in targets or [edge.outputs[0] for edge in edges]:
            self.visit(target, seen)
        self.newest_header = max((it.stat().st_mtime_ns for it in ROOT.glob("*/**/*.h")
                                  if "build" not in it.parts), default=0)
        self.to_make = []
        for edge in self.order:
            if self.is_stale(edge):
                self.to_make.append(edge)

    def visit(self, name, seen):
        edge = self.by_output.get(name)
        if edge is None or id(edge) in seen:
            return
        seen.add(id(edge))
        for needed in edge.inputs + edge.implicit:
            self.visit(needed, seen)
        self.order.append(edge)

    def is_stale(self, edge):
        if edge.rule == "phony":
            return False
        if any(self.by_output.get(it) in self.to_make for it in edge.inputs + edge.implicit):
            return True
        made = [time_of(it) for it in edge.outputs]
        if None in made or min(made) < time_of(self.path):
            return True
        needed = edge.inputs + edge.implicit
        if edge.rule in ("cxx", "nvcc"):
            read = read_depfile(edge.outputs[0] + ".d")
            if read is None and min(made) < self.newest_header:
                return True
            needed = needed + (read or [])
        times = [time_of(it) for it in needed]
        return None in times or max(times, default=0) > min(made)

    def make(self, edge):
        for out in edge.outputs:
            (ROOT / out).parent.mkdir(parents=True, exist_ok=True)
        result = subprocess.run(command_of(edge, self.rules, self.variables), shell=True, cwd=ROOT,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        # Half a file is not to be taken for a whole one the next time.
        for out in edge.outputs if result.returncode != 0 else []:
            (ROOT / out).unlink(missing_ok=True)
        return result

    def build(self, jobs):
        """Each statement once all that it needs is made. The first failure starts no others."""
        left, running, done, failed = list(self.to_make), {}, 0, False
        waiting = set(map(id, left))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            while running or (left and not failed):
                for edge in [] if failed else list(left):
                    needed = [self.by_output.get(it) for it in edge.inputs + edge.implicit]
                    if len(running) < jobs and not any(id(it) in waiting for it in needed):
                        left.remove(edge)
                        running[pool.submit(self.make, edge)] = edge
                finished, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED)
                for it in finished:
                    edge, result, done = running.pop(it), it.result(), done + 1
                    waiting.discard(id(edge))
                    print(f"[{done}/{len(self.to_make)}] {edge.outputs[0]}", flush=True)
                    if result.returncode != 0:
                        failed = True
                    if result.stdout:
                        print(result.stdout, end="", flush=True)
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", action="store_true", help="make nothing")
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="commands at once")
    parser.add_argument("-f", type=Path, default=ROOT / "build/release/build.ninja", metavar="FILE")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all, if none is named")
    arguments = parser.parse_args()
    try:
        tree = Tree(arguments.f, arguments.targets)
    except (BadFile, OSError) as problem:
        print(f"ninja_less: {problem}", file=sys.stderr)
        return 2
    if arguments.n:
        for edge in tree.to_make:
            print(command_of(edge, tree.rules, tree.variables))
        return 0
    return tree.build(arguments.j)


if __name__ == "__main__":
    sys.exit(main())
