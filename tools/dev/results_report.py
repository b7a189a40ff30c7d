"""The tables of tools/results: from runs of the bench to one Markdown page.

A run is one line of the .jsonl file: "op", "memory", "ranks", "baseline", "configuration" and
"command" say what was run, and then either "failed" is the sentence with which that ended, or
"rows" and what stands around them are what the bench measured (measured_by() says what is kept of
its JSON). Times and ratios are [lower quartile, median, upper quartile]. Nothing is measured here,
so that the arithmetic can be tried on made-up runs: self_test().
"""
import json
import math
import statistics
import tempfile
from pathlib import Path

from commands import end_of_self_test

DEFAULT = "Open MPI"
DISTURBED = 1.4


# ---- The file -------------------------------------------------------------------------------

def read(path):
    """(about, {command: run}): one line about the machine, then one a run."""
    about, *runs = [json.loads(line) for line in path.read_text().splitlines()]
    return about, {run["command"]: run for run in runs}


def write(path, about, runs):
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(it, ensure_ascii=False) + "\n" for it in [about, *runs]))
    part.replace(path)


def quartiles(of, name):
    return [of[name + "_25"], of[name], of[name + "_75"]]


def measured_row(row):
    out, baseline, bound = row["out_of_place"], row["baseline"], row["lower_bound"]
    kept = {"size_bytes": row["size_bytes"], "samples": row["samples"],
            "time_us": quartiles(out, "time_us"), "wrong": out["wrong"]}
    if baseline.get("ratio"):
        kept["baseline_us"] = quartiles(baseline["out_of_place"], "time_us")
        kept["baseline_wrong"] = baseline["out_of_place"]["wrong"]
        kept["ratio"] = quartiles(baseline, "ratio")
    if baseline["note"]:
        kept["note"] = baseline["note"]
    return {**kept, "cores": row["cores"], "bound_us": bound["time_us"],
            "xbound": bound["distance"]}


def measured_by(bench):
    """What is kept of what the bench prints with --json: all but what follows from the rest."""
    def probe(it):
        return {name: [[rate["bytes"], rate["gbs"]] for rate in value]
                if isinstance(value, list) else value for name, value in it.items()}

    kept = {name: bench[name] for name in ("date", "baseline_version", "cores_moved", "status_ns")}
    return {**kept, "probe_before": probe(bench["probe_before"]),
            "probe_after": probe(bench["probe_after"]),
            "rows": [measured_row(row) for row in bench["rows"]]}


def by_situation(run):
    """{where the cores were: the run with the rows that were measured there}. A row during which
    they moved is of no situation, and only its size is kept."""
    rows = run.get("rows", [])
    moved = [row["size_bytes"] for row in rows if row["cores"] == "moved"]
    names = dict.fromkeys(row["cores"] for row in rows if row["cores"] != "moved")
    return {name: {**run, "cores": name, "left_out": moved,
                   "rows": [row for row in rows if row["cores"] == name]} for name in names}


# ---- Rows -----------------------------------------------------------------------------------

def rows_by_size(runs):
    """{size: row} over the runs of one configuration: one for small sizes, and one for large."""
    return {row["size_bytes"]: row for run in runs for row in run.get("rows", [])}


def ratio_of(row):
    """The baseline's time / ringside's; None where the baseline has nothing."""
    return row["ratio"][1] if row and "ratio" in row else None


def configurations(runs):
    """{name: {size: row}}, in the order in which they were measured."""
    names = dict.fromkeys(run["configuration"] for run in runs)
    return {name: rows_by_size([run for run in runs if run["configuration"] == name])
            for name in names}


def best_at(size, others):
    """(ratio, name) of the configuration that is the quickest at this size."""
    found = [(ratio_of(rows.get(size)), name) for name, rows in others.items()]
    return min(((ratio, name) for ratio, name in found if ratio), default=(None, ""))


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def unlike_the_others(runs):
    """Runs in which ringside itself, doing the same in all of them, took another time: at some size
    more than DISTURBED times its median over the runs of that call, or less than 1 / DISTURBED.
    Runs in different situations of the cores are different calls."""
    times = {}

    def key(run, row):
        return (run["op"], run["memory"], run["ranks"], run["cores"], row["size_bytes"])

    for run in runs:
        for row in run.get("rows", []):
            times.setdefault(key(run, row), []).append(row["time_us"][1])
    medians = {it: statistics.median(values) for it, values in times.items() if len(values) > 2}

    def is_unlike(run, row):
        median = medians.get(key(run, row))
        change = row["time_us"][1] / median if median else 1
        return not 1 / DISTURBED < change < DISTURBED

    return [run for run in runs if any(is_unlike(run, row) for row in run.get("rows", []))]


# ---- Words ----------------------------------------------------------------------------------

def size_words(size):
    for unit, factor in (("G", 2**30), ("M", 2**20), ("K", 2**10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def time_words(time_us):
    return f"{time_us:.2f}" if time_us < 100 else f"{time_us:.0f}"


def factor_words(factor):
    """In bold where a baseline is ahead, so that nobody has to look for it."""
    if not factor:
        return "-"
    words = f"{factor:.2f}" if factor < 10 else f"{factor:.1f}"
    return f"**{words}**" if factor < 1 else words


def baseline_words(row):
    """The baseline's time, and the median of the ratios of pairs with their quartiles."""
    if "ratio" not in row:
        return ["-", "-"]
    low, ratio, high = row["ratio"]
    return [time_words(row["baseline_us"][1]), f"{factor_words(ratio)} [{low:.2f}, {high:.2f}]"]


def table(head, rows, left=1):
    """Aligned: the first `left` columns to the left, numbers to the right."""
    rows = [[str(cell).replace("|", "/") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        padded = [cell.ljust(width) if i < left else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 1) + ("-" if i < left else ":")
                          for i, width in enumerate(widths)) + "|"
    return [line(head), rule, *map(line, rows)]


CORES = {"none": "one rank", "one_core": "probably two threads of one core",
         "one_cache": "probably cores of one cache",
         "apart": "probably cores without a cache in common",
         "in_turns": "probably ranks that take turns on a core"}


def flags_line(runs):
    """Where the cores stood in these runs, as the bench has probed it before and after each."""
    runs = [run for run in runs if "rows" in run]
    flags = [run[when]["flag_ns"] for run in runs for when in ("probe_before", "probe_after")]
    if not flags:
        return []
    moved = sum(run["cores_moved"] for run in runs)
    left_out = sum(len(run["left_out"]) for run in runs)
    line = f"A flag took {min(flags):.0f} to {max(flags):.0f} ns: {CORES[runs[0]['cores']]}."
    if moved:
        line += f" In {moved} of {len(runs)} runs the CPUs moved; rows of elsewhere are not here."
    if left_out:
        line += f" Rows left out, as the CPUs moved each time that they were measured: {left_out}."
    return [line]


# ---- Parts of the page ----------------------------------------------------------------------

def section(title, runs, first):
    """One table: every size of configuration `first`, and the best of the others."""
    ways = configurations(runs)
    rows_of_first = ways.pop(first, {})
    if not rows_of_first:
        return []
    head = ["size", "ringside us", f"{first} us", "ratio [quartiles]"]
    head += ["best other", "its ratio"] if ways else []
    head += ["bound us", "xbound"]
    rows = []
    for size, row in sorted(rows_of_first.items()):
        cells = [size_words(size), time_words(row["time_us"][1]), *baseline_words(row)]
        if ways:
            ratio, name = best_at(size, ways)
            cells += [name or "-", factor_words(ratio)]
        rows.append([*cells, time_words(row["bound_us"]), f"{row['xbound']:.2f}"])
    return [f"### {title}", "", *flags_line(runs), "", *table(head, rows), ""]


def summary_row(name, runs):
    ways = configurations(runs)
    rows = ways.get(DEFAULT, {})
    ratios = {size: ratio_of(row) for size, row in rows.items() if ratio_of(row)}
    if not ratios:
        return None
    best = {size: best_at(size, ways) for size in ratios}
    xbounds = {size: row["xbound"] for size, row in rows.items() if row["xbound"]}
    worst, worst_best = min(ratios, key=ratios.get), min(best, key=best.get)
    behind = sum(ratio < 1 for ratio, _ in best.values())
    cells = [name, f"{geometric_mean(ratios.values()):.2f}",
             f"{factor_words(ratios[worst])} at {size_words(worst)}",
             f"{geometric_mean([ratio for ratio, _ in best.values()]):.2f}",
             f"{factor_words(best[worst_best][0])} at {size_words(worst_best)}, "
             f"{best[worst_best][1]}", f"{behind} of {len(best)}"]
    if not xbounds:
        return [*cells, "-"]
    far = max(xbounds, key=xbounds.get)
    return [*cells, f"{geometric_mean(xbounds.values()):.2f}, at most {xbounds[far]:.2f} at "
            f"{size_words(far)}"]


def groups(runs):
    """(op, memory, ranks, baseline) in the order of the page, and the runs of each."""
    found = {}
    for run in runs:
        found.setdefault((run["baseline"] == "gloo", run["ranks"], run["op"], run["memory"]),
                         []).append(run)
    order = ["all_reduce", "reduce_scatter", "all_gather"]
    return sorted(found.items(), key=lambda it: (*it[0][:2], order.index(it[0][2]),
                                                 it[0][3] != "ordinary"))


def summary(runs):
    rows = [summary_row(f"{op}, {memory}, {ranks} ranks", group)
            for (gloo, ranks, op, memory), group in groups(runs) if not gloo]
    head = ["call, memory", f"{DEFAULT}: mean", "least", "best baseline: mean", "least",
            "rows below 1", "xbound: mean"]
    rows = [row for row in rows if row]
    if not rows:
        return []
    return ["## In short", "",
            "A ratio is the baseline's time / ringside's: above 1 ringside is faster. Means are",
            "geometric. *Best baseline* is, at each size, the quickest of all configurations, the",
            "default among them; the least of many ratios that all vary a little is a little too",
            "small, so this column errs on the baselines' side. *xbound* is ringside's time / the",
            "lower bound of this machine ([08](../08-measuring.md)).", "", *table(head, rows), ""]


def machine(about, runs):
    versions = dict.fromkeys(run["baseline_version"] for run in runs if "rows" in run)
    pairs = [("date", f"{about['date']} {about['time']}"), ("commit", about["commit"]),
             ("processor", f"{about['cpu']}, {about['cores']} cores, threads per core: "
              f"{about['threads_per_core']}, hypervisor: {about['hypervisor']}"),
             ("caches", about["caches"]), ("memory", f"{about['memory_gib']} GiB"),
             ("kernel", about["kernel"]), ("compiler", about["compiler"]),
             ("baselines", ", ".join(versions)),
             ("load before", f"{about['load']:.2f} over the last minute")]
    return ["## On what", "", *table(["", ""], [list(pair) for pair in pairs]), ""]


def commands(runs):
    lines = ["## The commands", "", "Each printed the figures of one configuration, at the commit",
             "named above; without --json it prints a table.", "", "```text"]
    for run in runs:
        lines.append(f"# {run['configuration']}, {run['ranks']} ranks"
                     + (f": {run['failed']}" if "failed" in run else ""))
        lines.append(run["command"])
    return [*lines, "```", ""]


def wrong_in(runs):
    """Wrong elements, over all runs and libraries."""
    return sum(row["wrong"] + row.get("baseline_wrong", 0)
               for run in runs for row in run.get("rows", []))


def report(about, runs):
    cores = next((f", {CORES[run['cores']]}" for run in runs if "rows" in run), "")
    lines = [f"# Results of {about['date']}: {about['cpu']}, {about['cores']} cores{cores}", "",
             "Written by `tools/results`, which runs the bench as [08](../08-measuring.md)",
             "describes: in each run ringside and a baseline make the same calls on the same",
             "buffers in turns, times are medians, and a ratio is the median over pairs of",
             "samples. Memory is *ordinary* or from `ringside::allocate` (*allocate*).",
             "f32, sum, out of place. Where a baseline is ahead the ratio is bold. A run in which",
             "ringside's time differed from that in the others of its table by more than a factor",
             f"of {DISTURBED}, either way, was repeated once, and the second time counts.",
             "All rows are of one situation of the cores; those of others have pages of their own.",
             ""]
    wrong, failed = wrong_in(runs), [run for run in runs if "failed" in run]
    lines += [f"Every element of every run was checked; {wrong or 'none'} "
              f"{'were' if wrong > 1 else 'was'} wrong. {len(runs) - len(failed)} "
              f"run{'s' if len(runs) - len(failed) != 1 else ''}"
              + (f", and {len(failed)} that failed: see [the commands](#the-commands)."
                 if failed else "."), ""]
    lines += machine(about, runs) + summary(runs)
    title = None
    for (gloo, ranks, op, memory), group in groups(runs):
        first = "Gloo" if gloo else DEFAULT
        part = section(f"{op}, {memory}, {ranks} ranks{', Gloo' if gloo else ''}", group, first)
        heading = f"## {ranks} ranks" + (", against Gloo over TCP" if gloo else "")
        if ranks > about["cores"]:
            heading += f" on {about['cores']} cores"
        if part and heading != title:
            lines += [heading, ""]
            title = heading
        lines += part
    return "\n".join(lines + commands(runs)).rstrip("\n") + "\n"


# ---- Its own test ---------------------------------------------------------------------------

def made_up(configuration, ratios, moved=False, left_out=(), **more):
    """A run in which ringside took 2 us at each size, and the baseline 2 us × the ratio."""
    def side(time_us):
        return {"time_us": time_us, "time_us_25": 1.0, "time_us_75": 9.0, "wrong": 0}

    rows = [{"size_bytes": size, "out_of_place": side(2.0), "samples": 5,
             "cores": "moved" if size in left_out else "one_cache",
             "baseline": {"note": "", "ratio": ratio, "ratio_25": ratio - 0.1,
                          "ratio_75": ratio + 0.1, "out_of_place": side(2 * ratio)},
             "lower_bound": {"time_us": 1.0, "distance": 2.0}} for size, ratio in ratios.items()]
    probe = {"flag_ns": 58.0, "cores": "one_cache", "copy": [{"bytes": 4096, "gbs": 6.5}],
             "reduce": []}
    bench = {"rows": rows, "date": "", "baseline_version": configuration, "cores_moved": moved,
             "status_ns": 8.0, "probe_before": probe, "probe_after": {**probe, "flag_ns": 60.0}}
    return by_situation(
        {"op": "all_reduce", "memory": "ordinary", "ranks": 2, "baseline": "mpi",
         "configuration": configuration, "command": f"bench {configuration}",
         **measured_by(bench), **more})["one_cache"]


ABOUT = {"date": "2026-01-02", "time": "03:04 UTC", "commit": "abc", "cpu": "A CPU", "cores": 2,
         "threads_per_core": "1", "hypervisor": "none", "caches": "L2 1 MiB", "memory_gib": 1.0,
         "kernel": "Linux", "compiler": "c++", "load": 0.0}


def self_test():
    runs = [made_up(DEFAULT, {8: 2.0, 2048: 2.0}), made_up(DEFAULT, {2**26: 4.0}),
            made_up("ring", {8: 1.5, 2048: 3.0}),
            made_up("UCX", {8: 1.75, 2048: 0.5, 32: 9.0}, moved=True, left_out=[32]),
            made_up("Gloo", {8: 20.0}, baseline="gloo"), made_up(DEFAULT, {8: 1.25}, ranks=4)]
    broken = {**made_up("sm", {8: 1.0}), "failed": "there is no sm"}
    del broken["rows"]
    page = report(ABOUT, [*runs, broken])
    flat = [" ".join(line.split()) for line in page.split("\n")]
    wanted = [
        "| 8 | 2.00 | 4.00 | 2.00 [1.90, 2.10] | ring | 1.50 | 1.00 | 2.00 |",
        "| 2K | 2.00 | 4.00 | 2.00 [1.90, 2.10] | UCX | **0.50** | 1.00 | 2.00 |",
        "| 64M | 2.00 | 8.00 | 4.00 [3.90, 4.10] | - | - | 1.00 | 2.00 |",
        "| 8 | 2.00 | 40.00 | 20.0 [19.90, 20.10] | 1.00 | 2.00 |",
        # 2·2·4 to the third; 1.5·0.5·4 to the third
        "| all_reduce, ordinary, 2 ranks | 2.52 | 2.00 at 8 | 1.44 | **0.50** at 2K, UCX | 1 of 3 "
        "| 2.00, at most 2.00 at 8 |",
        "## 4 ranks on 2 cores",
        "## 2 ranks, against Gloo over TCP",
        "# Results of 2026-01-02: A CPU, 2 cores, probably cores of one cache",
        "A flag took 58 to 60 ns: probably cores of one cache. In 1 of 4 runs the CPUs moved; rows "
        "of elsewhere are not here. Rows left out, as the CPUs moved each time that they were "
        "measured: 1.",
        "# sm, 2 ranks: there is no sm",
        "Every element of every run was checked; none was wrong. 6 runs, and 1 that failed: see "
        "[the commands](#the-commands).",
    ]
    failures = [f"there is no line '{line}'" for line in wanted if line not in flat]
    widths = [{len(line) for line in block.split("\n") if line.startswith("|")}
              for block in page.split("\n\n")]
    failures += ["a table is not aligned" for width in widths if len(width) > 1]
    slow, quick, broken_off = (made_up(name, {8: 1.0}) for name in ("slow", "quick", "none"))
    slow["rows"][0]["time_us"][1] = 3.0
    quick["rows"][0]["time_us"][1] = 1.3
    del broken_off["rows"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.jsonl"
        write(path, ABOUT, [*runs[4:], broken])
        if read(path) != (ABOUT, {run["command"]: run for run in [*runs[4:], broken]}):
            failures.append("the file does not hold what was measured")
    if unlike_the_others([*runs, slow, quick, broken_off]) != [slow, quick]:
        failures.append("a disturbed run is not recognised")
    runs[0]["rows"][1].update(wrong=1, baseline_wrong=2)
    if "3 were wrong" not in report(ABOUT, runs) or wrong_in(runs) != 3:
        failures.append("wrong elements are not counted")
    return end_of_self_test(failures)
