"""The layout of the tree as data: which folder stands on which floor, and what a folder must hold.
check_style.py reads it; the rule in one sentence: an include never points up.
"""
import re

CXX = (".h", ".cc", ".cu")
# Within a room: the folders (or files, without their ending) on floors, from the lowest up.  An
# include points to the own floor or to one below.  What stands beside each other must not know
# each other.
FLOORS = {room: [floor.split() for floor in floors.split(" < ")] for room, floors in {
    "comm": "comm/error comm/version comm/algorithm < comm/util < comm/algorithms"
            " < comm/message comm/work comm/allocate < comm/transport < comm/transport/shm"
            " < comm/options < comm/bootstrap"
            " < comm/control < comm/peers < comm/diagnostics < comm/host < comm/device/kernel"
            " < comm/device < comm/device/cuda < comm/core < comm/communicator comm/split"
            " < comm/verify comm/cost < comm/verify/model",
    "tools": "tools/support < tools/baselines tools/limits < tools/measure < tools/cost"
             " < tools/report < tools/demo tools/launcher tools/fuzz tools/kernel_suite < tools",
}.items()}
FOLDER_FILES_MAX = 16
FOLDER_README_LINES_MAX = 15


def floor_of(path):
    """(number of the floor, name of what stands there) of a file; None where no floor is known."""
    floors = FLOORS.get(path.split("/")[0])
    if floors is None:
        return None
    stem, found = re.sub(r"\.\w+$", "", path), None
    for number, floor in enumerate(floors):
        for name in floor:
            if stem == name or path.startswith(name + "/"):
                if found is None or len(name) > len(found[1]):
                    found = number, name
    return found


def check_readme(folder, inside, text):
    """A folder's README names every source in it, and no other; a room's, its folders in order."""
    if "/" in folder:
        here = {path.rsplit("/", 1)[1] for path in inside}
        named = set(re.findall(r"`(\w+\.(?:h|cc|cu|py|sh))`", text))
        stems = {name.split(".")[0] for name in named}
        for name in sorted(here):
            if name.endswith(CXX + (".py", ".sh")) and name.split(".")[0] not in stems:
                yield f"does not name {name}"
        for name in sorted(named - here):
            yield f"names {name}, which is not there"
    floors = [floor_of(f"{folder}/{path}x")
              for path in re.findall(r"\]\(([\w/]+/)README\.md\)", text)]
    for below, above in zip(floors, floors[1:]):
        if below and above and below[0] > above[0]:
            yield f"has {above[1]} after {below[1]}; FLOORS in tools/dev/layout.py has it before"


def check_folders(files, text_of):
    """A folder holds one idea, and its README says which."""
    folders = {}
    for path in files:
        if path.startswith(("comm/", "tools/", "tests/")) and "/" in path:
            folders.setdefault(path.rsplit("/", 1)[0], []).append(path)
    for folder, inside in sorted(folders.items()):
        readme = f"{folder}/README.md"
        if readme not in inside:
            yield f"{folder}:1: a folder has a README.md: its one idea, and its files in order"
            continue
        for sentence in check_readme(folder, inside, text_of(readme)):
            yield f"{readme}:1: {sentence}"
        if "/" in folder and (lines := text_of(readme).count("\n")) > FOLDER_README_LINES_MAX:
            yield f"{readme}:{lines}: {lines} lines; at most {FOLDER_README_LINES_MAX}"
        sources = {re.sub(r"\.\w+$", "", path) for path in inside if path.endswith(CXX)}
        if len(sources) > FOLDER_FILES_MAX:
            yield (f"{folder}:1: {len(sources)} sources (a header and its .cc are one); at most "
                   f"{FOLDER_FILES_MAX}, one idea a folder")
