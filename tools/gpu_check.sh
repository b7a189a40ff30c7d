#!/bin/sh
# gpu_check: all that ringside can say on a machine with a GPU, in one command and eight minutes.
# The steps are gpu_check.py's; here is only what must be there for them.
CDPATH= cd -- "$(dirname "$0")/.." || exit 1
if ! command -v python3 >/dev/null 2>&1; then
  echo "gpu_check: there is no python3 here, and it runs the steps and writes the report" >&2
  exit 1
fi
exec python3 -B tools/dev/gpu_check.py "$@"
