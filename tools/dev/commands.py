"""What scripts share: running commands in the root of the tree, and how a self-test ends."""
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def output_of(*argv, limit_s=60):
    """What a command prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def run(argv, limit_s, env=None):
    """(exit status, stdout, stderr). When its time is over, or somebody wants us to stop, the
    command ends with all that it has started, and the exception goes on."""
    job = subprocess.Popen(argv, cwd=ROOT, env=env, text=True, start_new_session=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = job.communicate(timeout=limit_s)
        return job.returncode, out, err
    except BaseException:
        os.killpg(job.pid, signal.SIGTERM)
        try:
            job.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.communicate()
        raise


def end_of_self_test(failures):
    """Prints them, and returns the exit status."""
    for failure in failures:
        print(f"self-test: {failure}")
    return 1 if failures else 0


def about_this_run():
    commit = output_of("git", "rev-parse", "--short=12", "HEAD").strip() or "unknown"
    if output_of("git", "status", "--porcelain", "--untracked-files=no").strip():
        commit += " with changes"
    now = time.gmtime()
    return {"date": time.strftime("%Y-%m-%d", now), "time": time.strftime("%H:%M UTC", now),
            "commit": commit, "cores": os.cpu_count()}
