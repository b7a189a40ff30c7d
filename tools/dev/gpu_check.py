"""gpu_check: all that can be tested and measured on a GPU, in one command and eight minutes.

  tools/gpu_check.sh               test and measure; docs/results/DATE-GPU.md, and .jsonl beside it
  tools/gpu_check.sh --dry-run     print the steps and their commands, and run nothing
  tools/gpu_check.sh --out FOLDER  the report goes there

It needs the CUDA toolkit, a C++20 compiler, Ninja and python3, and nothing else: no MPI, no
Criterion, no network. Programs that are built already and start here are used as they are, and then
neither compiler nor Ninja is needed (--build builds them anew). Then come the tests on the GPU,
each in a process of its own, so that one failure cannot spoil the next test; compute-sanitizer on
a few small tests, if it is installed; the kernels against the hardware's limits; and all_reduce on
device memory, with each executor, for 1, 2 and 4 ranks as threads (against NCCL as well, if libnccl
is installed and there is a GPU for each rank).

Every step has a time limit of its own, and all of them together have --minutes. Steps for which no
time was left are listed, and the verdict is then INCOMPLETE. Unless they are set already,
RINGSIDE_TIMEOUT=20 is set for all steps, and CUDA_DEVICE_MAX_CONNECTIONS=32: ranks that are threads
have more streams than the 8 queues of the default.

Exit status: 0 every step has passed; 1 one has failed or was left out for lack of time; 2 a bad
option; 3 there is no GPU, or no Ninja to build with.
"""
import argparse
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import gpu_report
from commands import ROOT, end_of_self_test, output_of

TESTS = "build/release/tests/ringside_cuda_tests"
PROGRAMS = [TESTS, "build/release/tests/programs/rank_cuda", "build/release/tools/bench",
            "build/release/tools/kernel_bench", "build/release/tools/launch"]
SUITES = ("cuda_collectives.", "cuda_processes.", "cuda_nccl.")  # a process for each test
SANITIZED = ["cuda_loops.copy", "cuda_loops.nothing", "cuda_collectives.after_failures"]
SIZES = ["-b 1K -e 64K -f 64", "-b 1M -e 256M -f 16"]
EXECUTORS = ["device", "stream"]
RANKS = [1, 2, 4]


# ---- What is here ---------------------------------------------------------------------------

def find_gpus():
    """(names of the GPUs, version of the driver's CUDA); or a sentence why there are none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no GPU here: no driver (libcuda.so.1) is installed"
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        count.value = 0
    if count.value == 0:
        return "there is no GPU here: the driver finds none; look at nvidia-smi"
    driver.cuDriverGetVersion(ctypes.byref(version))
    names = []
    for ordinal in range(count.value):
        device, name = ctypes.c_int(0), ctypes.create_string_buffer(100)
        driver.cuDeviceGet(ctypes.byref(device), ordinal)
        driver.cuDeviceGetName(name, 100, device)
        names.append(name.value.decode())
    return names, f"{version.value // 1000}.{version.value % 1000 // 10}"


def find_nvcc():
    for path in [os.environ.get("CUDA_HOME", "/none") + "/bin/nvcc", shutil.which("nvcc") or "",
                 "/usr/local/cuda/bin/nvcc"]:
        if path and os.access(path, os.X_OK):
            return path
    return None


def find_sanitizer():
    by_nvcc = Path(find_nvcc() or "/none/nvcc").resolve().parent / "compute-sanitizer"
    return shutil.which("compute-sanitizer") or (str(by_nvcc) if by_nvcc.exists() else None)


def has_nccl():
    try:
        ctypes.CDLL("libnccl.so.2")
    except OSError:
        return False
    return True


def about_this_machine(gpus, cuda):
    driver = output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    toolkit = re.search(r"release ([\d.]+)", output_of(find_nvcc() or "nvcc", "--version"))
    return {**commands.about_this_run(), "gpu": gpus[0], "gpus": len(gpus),
            "driver": (driver.split("\n")[0] or "unknown").strip(),
            "cuda_of_driver": cuda, "cuda_toolkit": toolkit[1] if toolkit else "unknown",
            "connections": os.environ.get("CUDA_DEVICE_MAX_CONNECTIONS", "default")}


# ---- Steps ----------------------------------------------------------------------------------

def step(name, command, limit_s, **more):
    return {"name": name, "command": command, "limit_s": limit_s, **more}


def programs_start():
    """Are all built, and do they start here? (One that was linked elsewhere may not.)"""
    if not all((ROOT / program).exists() for program in PROGRAMS):
        return False
    return bool(output_of(ROOT / TESTS, "--plain", "--list")) and all(
        output_of(ROOT / program, "--help") for program in PROGRAMS[2:])


def build_step():
    if not shutil.which("ninja"):
        print("gpu_check: Ninja is needed to build: `pip install ninja`, or `apt-get install "
              "ninja-build`", file=sys.stderr)
        sys.exit(3)
    return step("build", "tools/dev/configure.sh release && ninja -f build/release/build.ninja "
                + " ".join(PROGRAMS), 300, needed=True)


def test_steps():
    names = output_of(ROOT / TESTS, "--plain", "--list").split()
    steps = [step("tests of the kernels", f"{TESTS} --plain --filter cuda_l", 60)]
    for name in names:
        if name.startswith(SUITES):
            steps.append(step(name, f"{TESTS} --plain --timeout 55 --filter {name}", 60))
    if not names:  # not built yet: for --dry-run
        steps.append(step("tests of collectives", f"{TESTS} --plain --filter cuda_c", 150))
        steps.append(step("tests of processes", f"{TESTS} --plain --filter cuda_p", 90))
    return steps


def sanitizer_steps():
    tool = find_sanitizer()
    if tool is None:
        return []
    return [step(f"memcheck of {name}", f"{tool} --tool memcheck {TESTS} --plain --timeout 40 "
                 f"--filter {name}", 45, says="ERROR SUMMARY: 0 errors") for name in SANITIZED]


def bench_steps(gpus, nccl):
    steps = [step("kernel_bench", "build/release/tools/kernel_bench --json -f 16 --gemm 4096 -n 7",
                  60, json=True)]
    for baseline in ["", "nccl"] if nccl else [""]:
        for ranks in RANKS:
            if baseline and ranks > gpus:  # it wants a GPU for each rank
                continue
            for executor in EXECUTORS:
                for sizes in SIZES:
                    words = f"all_reduce, {ranks} ranks, {executor} executor, {sizes.split()[1]} up"
                    command = (f"RINGSIDE_EXECUTOR={executor} build/release/tools/bench "
                               f"--threads {ranks} --op all_reduce --memory device {sizes} --json")
                    if baseline:
                        words += ", against NCCL"
                        command += f" --baseline {baseline}"
                    steps.append(step(words, command, 40, json=True, executor=executor,
                                      ranks=ranks))
    return steps


# ---- Running --------------------------------------------------------------------------------

def judge(it, returncode, out, err):
    """(passed, failed or skipped; why, where there is something to report)."""
    lines = [line.strip() for line in (err + "\n" + out).split("\n") if re.search(r"\w{2}", line)]
    last = lines[-1] if lines else ""
    if it.get("says"):
        if it["says"] not in out:
            return "failed", f"does not say '{it['says']}': {last}"
        return "passed", "" if returncode == 0 else "no bad access, but the test failed under it"
    if returncode != 0:
        telling = r"(FAILED|HUNG|\S+\.(cc|h|cu):\d+)|.*[Ee]rror"
        reasons = [line for line in lines if re.match(telling, line)]
        return "failed", f"exit status {returncode}: {(reasons or [last])[0]}"
    if it.get("json"):
        try:
            it["rows"] = json.loads(out)
        except ValueError:
            return "failed", f"its output is no JSON: {last}"
        if it["rows"].get("wrong"):
            return "failed", f"{it['rows']['wrong']} elements are wrong"
    counts = re.search(r"^(\d+) passed, 0 failed, (\d+) skipped$", out, flags=re.M)
    if counts and counts[1] == "0":
        return "skipped", next((line for line in lines if line.startswith("SKIPPED")), last)
    return "passed", ""


def run_step(it, most_s):
    """Notes result, words and seconds in the step. It and all that it starts end with its time."""
    start = time.monotonic()
    limit_s = min(it["limit_s"], most_s)
    try:
        status, out, err = commands.run(["sh", "-c", it["command"]], limit_s)
        it["result"], it["words"] = judge(it, status, out, err)
        it["output"] = "" if it["result"] == "passed" else (out + err)[-4000:]
    except BaseException as reason:
        it["result"], it["words"] = "failed", f"was not done after {limit_s:.0f} s"
        if not isinstance(reason, subprocess.TimeoutExpired):
            it["words"] = "was stopped"
            raise
    finally:
        it["seconds"] = round(time.monotonic() - start, 1)


def run_all(steps, end, show):
    """Runs them until `end`, a time.monotonic(); what is left then is `not run`."""
    broken = ""
    for it in steps:
        left_s = end - time.monotonic()
        if broken or left_s < 2:
            it.update(result="not run", words=broken or "no time was left", seconds=0.0)
        else:
            run_step(it, left_s)
            if it.get("needed") and it["result"] != "passed":
                broken = f"the {it['name']} failed"
        show(it)


def show_row(width):
    """A row of the table, as soon as it is known; in colour on a terminal alone."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    codes = {"passed": "32", "failed": "31", "skipped": "33", "not run": "33"}

    def show(it):
        result = f"{it['result']:<8}"
        if colour:
            result = f"\033[{codes[it['result']]}m{result}\033[0m"
        print(f"{it['name']:<{width}}  {result} {it['seconds']:>7.1f}  {it['words']}".rstrip(),
              flush=True)
    return show


def read_arguments():
    parser = argparse.ArgumentParser(prog="gpu_check.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run nothing")
    parser.add_argument("--minutes", type=float, default=8, help="stop after so many (8)")
    parser.add_argument("--build", action="store_true", help="build, whatever is there")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results", help="a folder")
    parser.add_argument("--self-test", action="store_true", help="of the report, on made-up steps")
    return parser.parse_args()


def main():
    arguments = read_arguments()
    if arguments.self_test:
        return gpu_report.self_test() or self_test()
    end = time.monotonic() + 60 * arguments.minutes
    found = find_gpus()
    if isinstance(found, str) and not arguments.dry_run:
        print(f"gpu_check: {found}", file=sys.stderr)
        return 3
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
    os.environ.setdefault("RINGSIDE_TIMEOUT", "20")
    first = [build_step()] if arguments.build or not programs_start() else []
    if arguments.dry_run:
        gpus = 1 if isinstance(found, str) else len(found[0])
        for it in first + test_steps() + sanitizer_steps() + bench_steps(gpus, has_nccl()):
            print(f"{it['limit_s']:>4} s  {it['command']}")
        return 0
    about = about_this_machine(*found)
    name = re.sub(r"[^a-z0-9]+", "-", about["gpu"].lower()).strip("-")
    path = arguments.out / f"{about['date']}-{name}.jsonl"
    print(f"# {about['gpu']}, driver {about['driver']}, commit {about['commit']}", flush=True)
    steps = list(first)
    try:
        # Which tests there are is known once they are built.
        run_all(first, end, show_row(60))
        if all(it["result"] == "passed" for it in first):
            rest = test_steps() + sanitizer_steps() + bench_steps(about["gpus"], has_nccl())
            steps += rest
            run_all(rest, end, show_row(max(len(it["name"]) for it in rest)))
    except KeyboardInterrupt:
        for it in steps:
            it.setdefault("result", "not run")
            it.setdefault("words", "was stopped")
            it.setdefault("seconds", 0.0)
    gpu_report.write(path, about, steps)
    print(path.with_suffix(".md"))
    print(gpu_report.verdict(steps))
    return 0 if gpu_report.verdict(steps).startswith("PASSED") else 1


# ---- Its own test ---------------------------------------------------------------------------

def self_test():
    """Steps that really run: what passes, fails, is skipped, hangs, and is left out for time."""
    cases = [("exit 0", {}, "passed"), ("echo sorry; exit 1", {}, "failed"),
             ("sleep 20", {"limit_s": 0.3}, "failed"), ("kill -9 $$", {}, "failed"),
             ("echo '{\"rows\": [], \"wrong\": 0}'", {"json": True}, "passed"),
             ("echo '{\"rows\": [], \"wrong\": 2}'", {"json": True}, "failed"),
             ("echo '{'", {"json": True}, "failed"),
             ("echo 'SKIPPED a.b: no GPU'; echo '0 passed, 0 failed, 1 skipped'", {}, "skipped"),
             ("echo 'ERROR SUMMARY: 0 errors'; exit 1", {"says": "SUMMARY: 0 e"}, "passed"),
             ("echo 'ERROR SUMMARY: 3 errors'", {"says": "SUMMARY: 0 e"}, "failed")]
    steps = [step(command, command, 10, **{}) | more for command, more, _ in cases]
    run_all(steps, time.monotonic() + 60, lambda it: None)
    failures = [f"'{it['name']}' is {it['result']} ({it['words']}), not {wanted}"
                for it, (_, _, wanted) in zip(steps, cases) if it["result"] != wanted]
    late = [step("late", "exit 0", 10)]
    run_all(late, time.monotonic() + 1, lambda it: None)
    after = [step("build", "exit 1", 10, needed=True), step("then", "exit 0", 10)]
    run_all(after, time.monotonic() + 60, lambda it: None)
    if late[0]["result"] != "not run" or after[1]["result"] != "not run":
        failures.append("a step was run without time, or without what it needs")
    return end_of_self_test(failures)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # by `| head`, say
    sys.exit(main())
