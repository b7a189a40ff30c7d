"""Flight records that are damaged, and what tools/flight makes of them: a finding or a sentence,
and the exit status that goes with it; never a traceback, and no more memory than a record needs.

  python3 tests/fuzz/flight.py [TIMES [SEED]]     damages the records of tests/fuzz/corpus/flight
"""
import contextlib
import copy
import importlib.machinery
import importlib.util
import io
import json
import os
import random
import resource
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "corpus", "flight")
ODD = (None, True, -1, 0, 1, 2**31, 2**63, 10**30, 0.5, float("inf"), "", "x", "\ud800", "\x1b[2J",
       [], {}, [[]], {"rank": 1}, "9" * 9)


def load_flight():
    path = os.path.join(HERE, "..", "..", "tools", "flight")
    loader = importlib.machinery.SourceFileLoader("flight", path)
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("flight", loader))
    loader.exec_module(module)
    return module


def places_in(value, found):
    """(container, key) of all that is in a value."""
    for key, inner in (value.items() if isinstance(value, dict) else
                       enumerate(value) if isinstance(value, list) else ()):
        found.append((value, key))
        places_in(inner, found)
    return found


def damaged(record, dice):
    """The text of a record with one or two things wrong with it."""
    record = copy.deepcopy(record)
    for _ in range(dice.randint(1, 2)):
        container, key = dice.choice(places_in(record, []))
        if dice.random() < 0.3:
            del container[key]
        else:
            container[key] = dice.choice(ODD)
    text = json.dumps(record).encode()
    if dice.random() < 0.3:
        at = dice.randrange(len(text))
        text = dice.choice((text[:at], text[:at] + bytes([dice.randrange(256)]) + text[at + 1:],
                            b"[" * 100000 + text))
    return text


def main():
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    flight = load_flight()
    names = sorted(os.listdir(CORPUS))
    records = {name: json.load(open(os.path.join(CORPUS, name), encoding="utf-8"))
               for name in names}
    statuses = {0: 0, 1: 0, 2: 0}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                json.dump(records[name], file)
        for number in range(times):
            victim = os.path.join(folder, dice.choice(names))
            with open(victim, "rb") as file:
                whole = file.read()
            with open(victim, "wb") as file:
                file.write(damaged(records[os.path.basename(victim)], dice))
            out, err = io.StringIO(), io.StringIO()
            sys.argv = ["flight", folder] + ["--json"] * (number % 2)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = flight.main()
            # What is not damaged is shown all the same, and what is not shown is said.
            if (status == 2) != bool(err.getvalue()) or "communicator" not in out.getvalue():
                print(f"damaged record {number}: status {status}\n{err.getvalue()}")
                return 1
            statuses[status] += 1
            with open(victim, "wb") as file:
                file.write(whole)
    print(f"flight: {times} damaged records: {statuses[0]} alike, {statuses[1]} different, "
          f"{statuses[2]} unreadable")
    return 0


if __name__ == "__main__":
    sys.exit(main())
