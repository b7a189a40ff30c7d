#!/bin/sh
# One name, one definition: two types of one name that differ (in two files that never meet) make a
# program whose parts disagree about memory, and no compiler sees it, as it sees one file at a time.
#
# The linker sees all: with -flto it reads what each file says of a type, and -Wodr compares. So
# library, tools and tests are compiled for it once more (make odr), without optimizing, as only the
# types matter. This script then shows that the check can fail: on two small files that it plants.
set -eu
CDPATH= cd -- "$(dirname "$0")/../.."

compiler=$(sed -n 's/^  command = \(.*\) -flto=.*/\1/p' build/odr/build.ninja)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for members in 'int count' 'char* text; int count'; do
  file=$folder/$(echo "$members" | tr -c 'a-z\n' _).cc
  echo "struct Planted { $members; }; int read(Planted& it) { return it.count; }" >"$file"
  $compiler -std=c++20 -flto -fPIC -c "$file" -o "$file.o"
done
if $compiler -flto -shared -Werror=odr -Wl,-z,muldefs "$folder"/*.o -o "$folder/planted.so" \
  2>"$folder/errors"; then
  echo 'odr: two different types of one name were linked without an error' >&2
  exit 1
fi
grep -q 'Planted.* violates the C++ One Definition Rule' "$folder/errors" ||
  { cat "$folder/errors" >&2; exit 1; }
echo 'odr: each type is defined once (and a planted second definition is seen)'
