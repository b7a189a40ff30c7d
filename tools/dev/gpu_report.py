"""The report of tools/gpu_check.sh: from steps that were run to one Markdown page and one verdict.

A step is {"name", "command", "result", "words", "seconds"} and one line of the .jsonl file; one
that has measured has "rows" as well, what bench or kernel_bench printed with --json. Nothing is run
here, so that the page can be tried on made-up steps: self_test().
"""
import json
import tempfile
from pathlib import Path

import results_report
from commands import end_of_self_test
from results_report import size_words, table


def verdict(steps):
    """One line. PASSED only if none has failed and none was left out for time."""
    count = {result: sum(it["result"] == result for it in steps)
             for result in ("passed", "failed", "skipped", "not run")}
    words = ", ".join(f"{number} {result}" for result, number in count.items() if number)
    if count["failed"]:
        return f"FAILED: {words}"
    if count["not run"] or not count["passed"]:
        return f"INCOMPLETE: {words or 'nothing was run'}"
    return f"PASSED: {words}"


def bench_rows(steps):
    """A row for each size, with NCCL's time where it was measured."""
    rows = []
    for it in steps:
        for row in it.get("rows", {}).get("rows", []) if "executor" in it else []:
            out, baseline = row["out_of_place"], row.get("baseline") or {}
            nccl = ["", ""]
            if baseline.get("ratio"):
                nccl = [f"{baseline['out_of_place']['time_us']:.2f}", f"{baseline['ratio']:.2f}"]
            rows.append([it["executor"], str(it["ranks"]), size_words(row["size_bytes"]),
                         f"{out['time_us']:.2f}", f"{out['busbw_gbs']:.2f}",
                         str(out["wrong"]), *nccl])
    return rows


def kernel_rows(steps):
    rows = []
    for it in steps:
        for row in it.get("rows", {}).get("rows", []) if "executor" not in it else []:
            rate = f"{row['gbs']:.0f} GB/s" if "gbs" in row else f"{row['gflops']:.0f} GFLOP/s"
            bound = f"{100 * row['of_lower_bound']:.0f} %" if row["of_lower_bound"] else "-"
            name = row["kernel"] + (f" {row['form']} {row['n']}" if "form" in row else "")
            rows.append([name, row["type"], size_words(row["size_bytes"]),
                         f"{row['time_us']:.2f}", rate, bound])
    return rows


def page(about, steps):
    pairs = [("date", f"{about['date']} {about['time']}"), ("commit", about["commit"]),
             ("GPU", f"{about['gpu']}, {about['gpus']} of them"), ("driver", about["driver"]),
             ("CUDA", f"toolkit {about['cuda_toolkit']}, driver {about['cuda_of_driver']}"),
             ("processor cores", about["cores"]),
             ("CUDA_DEVICE_MAX_CONNECTIONS", about["connections"])]
    lines = [f"# {about['gpu']}, {about['date']}", "",
             "Written by `tools/gpu_check.sh`. Ranks are threads that share GPUs.", "",
             f"**{verdict(steps)}**", "", "## On what", "", *table(["", ""], pairs, left=2), "",
             "## Steps", "", *table(["step", "result", "seconds", ""],
                                    [[it["name"], it["result"], f"{it['seconds']:.1f}", it["words"]]
                                     for it in steps], left=2), ""]
    if rows := bench_rows(steps):
        lines += ["## all_reduce, f32, sum, out of place", "",
                  "A ratio is NCCL's time / ringside's: above 1 ringside is faster.", "",
                  *table(["executor", "ranks", "size", "us", "busbw GB/s", "#wrong", "NCCL us",
                          "ratio"], rows), ""]
    if rows := kernel_rows(steps):
        lines += ["## Kernels", "", "The bound is a copy of the same size, or cuBLAS's product.",
                  "", *table(["kernel", "type", "size", "us", "rate", "of bound"], rows), ""]
    for it in steps:
        if it["result"] == "failed":
            lines += [f"## Failed: {it['name']}", "", "```text", f"$ {it['command']}",
                      it.get("output", "").rstrip(), "```", ""]
    return "\n".join(lines)


def write(path, about, steps):
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"tool": "gpu_check", "verdict": verdict(steps), **about}
    results_report.write(path, head, steps)
    path.with_suffix(".md").write_text(page(about, steps))


# ---- Its own test ---------------------------------------------------------------------------

ABOUT = {"date": "2026-01-02", "time": "03:04 UTC", "commit": "abc", "gpu": "A GPU", "gpus": 2,
         "driver": "1.2", "cuda_of_driver": "13.0", "cuda_toolkit": "12.9", "cores": 4,
         "connections": "32"}


def made_up(name, result="passed", **more):
    return {"name": name, "command": f"run {name}", "result": result, "words": "", "seconds": 1.25,
            **more}


def self_test():
    row = {"size_bytes": 65536, "out_of_place": {"time_us": 10.5, "busbw_gbs": 6.25, "wrong": 0}}
    with_nccl = {**row, "size_bytes": 2**20,
              "baseline": {"ratio": 1.5, "out_of_place": {"time_us": 15.75}}}
    kernel = {"kernel": "reduce", "type": "f32", "size_bytes": 2**28, "time_us": 3.5,
              "gbs": 4000.4, "of_lower_bound": 0.975}
    steps = [made_up("a test"), made_up("executors", executor="device", ranks=2,
                                        rows={"rows": [row, with_nccl]}),
             made_up("kernels", rows={"rows": [kernel]})]
    failed = made_up("a bad one", "failed", words="exit status 1: wrong | bits", output="why\n")
    failures = []
    for more, word in (([], "PASSED: 3 passed"), ([failed], "FAILED: 3 passed, 1 failed"),
                       ([made_up("late", "not run")], "INCOMPLETE: 3 passed, 1 not run"),
                       ([made_up("no", "skipped")], "PASSED: 3 passed, 1 skipped")):
        if verdict(steps + more) != word:
            failures.append(f"the verdict is '{verdict(steps + more)}', not '{word}'")
    if any(not verdict(none).startswith("INCOMPLETE") for none in ([], [made_up("", "skipped")])):
        failures.append("nothing at all has passed")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "some.jsonl"
        write(path, ABOUT, [*steps, failed])
        about, *kept = [json.loads(line) for line in path.read_text().splitlines()]
        text = path.with_suffix(".md").read_text()
    if kept[1]["rows"]["rows"] != [row, with_nccl] or not ABOUT.items() <= about.items():
        failures.append("the .jsonl does not hold what was measured")
    flat = [" ".join(line.split()) for line in text.split("\n")]
    for line in ["**FAILED: 3 passed, 1 failed**", "| GPU | A GPU, 2 of them |",
                 "| commit | abc |", "| CUDA | toolkit 12.9, driver 13.0 |",
                 "| a bad one | failed | 1.2 | exit status 1: wrong / bits |",
                 "| device | 2 | 64K | 10.50 | 6.25 | 0 | | |",
                 "| device | 2 | 1M | 10.50 | 6.25 | 0 | 15.75 | 1.50 |",
                 "| reduce | f32 | 256M | 3.50 | 4000 GB/s | 98 % |", "$ run a bad one", "why"]:
        if line not in flat:
            failures.append(f"there is no line '{line}'")
    widths = [{len(line) for line in block.split("\n") if line.startswith("|")}
              for block in text.split("\n\n")]
    failures += ["a table is not aligned" for width in widths if len(width) > 1]
    return end_of_self_test(failures)
