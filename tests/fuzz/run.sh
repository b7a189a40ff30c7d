#!/bin/sh
# Damaged input for every reader, so many seconds each (make fuzz SECONDS=60): by libFuzzer where
# clang has it, which looks for input that takes new ways through the code; else by mutation alone,
# with the address sanitizer.  What fails is left in build/.
#
#   tests/fuzz/run.sh SECONDS [TARGET...]
set -eu
CDPATH= cd -- "$(dirname "$0")/../.."
seconds=$1; shift
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus | grep -v flight)

# What libFuzzer finds is kept from one run to the next, and by nobody else.
by_libfuzzer() {
  program=build/fuzz/tests/programs/fuzz
  env -u CXX make --no-print-directory CXX=clang++ WERROR=0 build-fuzz ONLY=$program
  for target; do
    mkdir -p "build/fuzz/corpus/$target"
    echo "fuzz: $target"
    RINGSIDE_FUZZ=$target $program -max_total_time="$seconds" \
      -timeout=40 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
      -artifact_prefix="build/fuzz-$target-" "build/fuzz/corpus/$target" \
      "tests/fuzz/corpus/$target"
  done
}

by_mutation() {
  make --no-print-directory build-asan ONLY=build/asan/tests/programs/fuzz
  build/asan/tests/programs/fuzz --seconds "$seconds" tests/fuzz/corpus "$@"
}

if echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer,address,undefined -x c++ - -o /dev/null 2>/dev/null; then
  by_libfuzzer "$@"
else
  by_mutation "$@"
fi
