#!/bin/sh
# Finds out what this machine has, and writes build/FLAVOUR/build.ninja.
#
# tools/dev/find_packages.sh, sourced here, does the first.  The sources are found by glob, so a new
# file needs no edit here.  The script runs before every build: it takes a fraction of a second, and
# it leaves an unchanged build.ninja alone, so that a second `make` has nothing to do.
#
#   tools/dev/configure.sh [--verbose] FLAVOUR    write build/FLAVOUR/build.ninja
#   tools/dev/configure.sh --missing              print the names of missing parts
#
# The flavours: release; asan, ubsan and tsan, the sanitizers; odr, where the linker compares what
# the sources say of each type (tools/dev/odr.sh).
#
# And fuzz, for libFuzzer (tests/fuzz/run.sh).
#
# Read from the environment: CXX, CPPFLAGS, CXXFLAGS, LDFLAGS, CUDA_HOME, CUDA_ARCH_FLAGS,
# NCCL_HOME, MPICXX, WERROR=1.
set -eu
CDPATH= cd -- "$(dirname "$0")/../.."

verbose=0 mode=write flavour=release
for argument; do
  case $argument in
    --verbose) verbose=1 ;;
    --missing) mode=missing ;;
    release|asan|ubsan|tsan|odr|fuzz) flavour=$argument ;;
    *) echo "configure: unknown argument '$argument'" >&2; exit 2 ;;
  esac
done

# ---- What is here ---------------------------------------------------------------------------

. tools/dev/find_packages.sh
find_compiler
have_verbs=0 have_criterion=0 have_openblas=0 have_gloo=0
[ -z "$headers" ] || find_libraries
find_mpi
find_mpich
find_cuda
find_cublas
find_nccl
if [ "$mode" = missing ]; then
  command -v "${NINJA:-ninja}" >/dev/null 2>&1 || missing="$missing ninja"
  command -v python3 >/dev/null 2>&1 || missing="$missing python3"
  command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
  echo "$missing"
  exit 0
fi
case $missing in *compiler*) exit 1 ;; esac

# ---- What a flavour changes -----------------------------------------------------------------

# The sanitizer flavours see our own code only.  CUDA, MPI and Criterion are not built with
# sanitizers: their reports would be false alarms, and Criterion cannot even start under TSan.
# -g1: functions and lines, for stacks; the variables cost a fifth of the build.
optimize='-O2 -g1' sanitize=''
case $flavour in
  asan)  sanitize='-fsanitize=address' ;;
  ubsan) sanitize='-fsanitize=undefined -fno-sanitize-recover=all' ;;
  tsan)  sanitize='-fsanitize=thread' ;;
  fuzz)  sanitize='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all' ;;
esac
if [ "$flavour" = odr ]; then
  optimize='-O0 -flto'
  have_cuda=0
elif [ "$flavour" != release ]; then
  optimize='-O1 -g1 -fno-omit-frame-pointer'
  have_cuda=0 have_cublas=0 have_nccl=0 have_mpi=0 have_mpich=0 have_criterion=0 have_gloo=0
  cuda_flags='' cuda_libs=''
fi

warnings='-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual'
nvcc_warnings='-Xcompiler=-Wall,-Wextra'
if [ "${WERROR:-0}" = 1 ]; then
  warnings="$warnings -Werror"
  nvcc_warnings="$nvcc_warnings -Werror all-warnings"
fi

defines=
for name in cuda cublas mpi verbs nccl openblas gloo; do
  eval "value=\$have_$name"
  [ "$value" = 0 ] || defines="$defines -DRINGSIDE_HAVE_$(echo $name | tr a-z A-Z)=1"
done

# -fPIC: the same objects make the static library and the shared one. Six runs of ring_allreduce
# with and without it, by turns, had the same times from 8 bytes to 256K (0.28 us and 0.28 us at 8
# bytes). -fno-semantic-interposition lets calls inside the library be inlined all the same.
pic='-fPIC -fno-semantic-interposition'

# -ffp-contract=off: a fused multiply-add would round differently here and there, and equal bits
# on every machine are a promise.  -fno-math-errno changes no bit and lets loops vectorise.
# What somebody wants of their own goes behind what we would take, and before what is promised.
cxxflags="-std=c++20 -I. $optimize $warnings ${CPPFLAGS:-} ${CXXFLAGS:-}"
cxxflags="$cxxflags -ffp-contract=off -fno-math-errno -pthread $sanitize"
[ -z "$sanitize" ] || defines="$defines -DRINGSIDE_SANITIZED=1"
cxxflags="$cxxflags $pic $nccl_include $cuda_flags $defines"

# What the library itself may call; a program that links with the static one needs it too.
library_libs=$cuda_libs
[ $have_verbs = 0 ] || library_libs="$library_libs -libverbs"
library_libs="$library_libs -pthread -ldl"

# --as-needed: a tool that never calls OpenBLAS must not start OpenBLAS's threads.
libs=-Wl,--as-needed
[ $have_openblas = 0 ] || libs="$libs -lopenblas"
[ $have_gloo = 0 ] || libs="$libs -lgloo"
libs="$libs $library_libs"

# Machine code for Hopper, and PTX that the driver compiles for any other GPU from Ampere on.  The
# machine code comes from that PTX too: nothing here is written for Hopper alone, and it is two
# thirds of the time of two compilations.
: "${CUDA_ARCH_FLAGS:=-gencode arch=compute_80,code=[compute_80,sm_90]}"
nvccflags="-std=c++20 -O3 -Xcompiler=-g1 -lineinfo $CUDA_ARCH_FLAGS -fmad=false"
nvccflags="$nvccflags $nvcc_warnings -Xcompiler=-ffp-contract=off,-pthread,-fPIC -I."
nvccflags="$nvccflags $nccl_include $defines"

# ---- The build file -------------------------------------------------------------------------

out=build/$flavour tested=''
[ $have_criterion = 0 ] || tested='-DRINGSIDE_HAVE_CRITERION=1'
# Most tests wait more than they compute: -Og halves the time to compile them.
test_flags="-Og $tested"
[ "$flavour" != odr ] || test_flags=
major=$(sed -n 's/.*kVersion = "\([0-9]*\)\..*/\1/p' comm/version.h)
mpi_library=libringside_mpi.so.$major
# The files that call MPI: linked into libringside_mpi and into bench, and nothing else.
calls_mpi='^comm/bootstrap/mpi_library\|^tools/baselines/mpi\.'

sources() {  # sources SUFFIX FOLDER...: every such file below the folders that exist
  suffix=$1; shift
  for folder; do [ ! -d "$folder" ] || find "$folder" -name "*.$suffix"; done | LC_ALL=C sort
}

flags_of() {  # the extra flags of one source file
  case $1 in
    kernels/loops_avx2.cc) ! has x86 || echo '-O3 -mavx2 -mf16c' ;;
    kernels/loops_avx512.cc)
      ! has x86 || echo '-O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mf16c -mavx2' ;;
    kernels/layers_avx2.cc) ! has x86 || echo '-O3 -mavx2 -mfma -mf16c' ;;
    kernels/layers_avx512.cc)
      ! has x86 || echo '-O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c' ;;
    kernels/loops_*.cc|kernels/layers_*.cc) echo '-O3' ;;
    comm/bootstrap/mpi_library.cc|tools/baselines/mpi.cc) echo "$mpi_cflags -DOMPI_SKIP_MPICXX" ;;
    tests/cuda/*) [ -z "$tested" ] || echo "$tested" ;;
    tests/programs/fuzz.cc) [ "$flavour" != fuzz ] || echo '-DRINGSIDE_LIBFUZZER=1' ;;
    tests/*) echo "$test_flags" ;;
  esac
}

left_out() {  # files that a missing package takes with it
  case $1 in
    comm/bootstrap/mpi_library.cc|tools/baselines/mpi.cc) [ $have_mpi = 0 ] ;;
    comm/*verbs*.cc) [ $have_verbs = 0 ] ;;
    tools/baselines/gloo.cc) [ $have_gloo = 0 ] ;;
    tools/baselines/nccl.cc|tests/tools/fake_nccl.cc) [ $have_nccl = 0 ] || [ $have_cuda = 0 ] ;;
    kernels/cuda/blas.cc) [ $have_cublas = 0 ] ;;
    *.cu|*/cuda/*.cc|*_cuda.cc) [ $have_cuda = 0 ] ;;
    *) false ;;
  esac
}

# Precompiled headers do only for sources with the very same flags.  Warnings in them are shown
# where they are read as ever: in sources with flags of their own.
precompile() {  # precompile HEADER FLAGS
  printf 'build %s.gch: cxx %s\n  flags = -x c++-header -w %s\n' "$out/$1" "$1" "$2"
}

precompiled_for() {  # precompiled_for FLAGS
  case $1 in
    '') echo $out/tools/dev/precompiled.h ;;
    "$test_flags") echo $out/tests/support/precompiled.h ;;
    *) false ;;
  esac
}

# compile FILE...: writes a build statement each, and leaves the objects' names in $objects.
compile() {
  objects=
  for file; do
    if left_out "$file"; then continue; fi
    object=$out/${file%.*}.o rule=cxx
    case $file in *.cu) object=$out/$file.o rule=nvcc ;; esac
    flags=$(flags_of "$file")
    # The sanitizers' own instrumentation is slow enough: -O3 is for the release only.
    [ "$flavour" = release ] || flags=$(echo "$flags" | sed 's/-O3 *//')
    before=
    if [ "$rule" = cxx ] && precompiled=$(precompiled_for "$flags"); then
      before=" | $precompiled.gch" flags="$flags -include $precompiled"
    fi
    echo "build $object: $rule $file$before"
    [ -z "$flags" ] || echo "  flags = $flags"
    objects="$objects $object"
  done
}

link_program() {  # link_program PATH OBJECTS [LIBRARY]
  echo "build $out/$1: link $2 $out/libringside.a"
  [ -z "${3:-}" ] || echo "  libs = $3 $libs"
}

write_rules() {
  cat <<END
# Written by tools/dev/configure.sh; edit that file instead.
ninja_required_version = 1.5
builddir = $out
cxxflags = $cxxflags
nvccflags = $nvccflags
libs = $libs
library_libs = $library_libs
flags =
rule cxx
  command = $CXX \$cxxflags \$flags -MMD -MF \$out.d -c \$in -o \$out
  depfile = \$out.d
  deps = gcc
  description = C++  \$in
rule nvcc
  command = $nvcc -ccbin ${CXX##* } \$nvccflags \$flags -MMD -MF \$out.d -c \$in -o \$out
  depfile = \$out.d
  deps = gcc
  description = CUDA \$in
rule archive
  command = rm -f \$out && ar rcs \$out \$in
  description = LIB  \$out
rule shared
  command = $CXX ${LDFLAGS:-} -shared -Wl,-soname,libringside.so.$major $\
    -Wl,--version-script=tools/dev/libringside.map -Wl,-z,defs -Wl,-rpath,'\$\$ORIGIN' $\
    -o \$out \$in \$libs
  description = LIB  \$out
rule mpi_library
  command = $CXX ${LDFLAGS:-} -shared -Wl,-soname,$mpi_library -Wl,-z,defs $\
    -Wl,--version-script=tools/dev/libringside_mpi.map -o \$out \$in \$libs
  description = LIB  \$out
rule link
  command = $CXX ${LDFLAGS:-} $sanitize -o \$out \$in \$libs $\
    -Wl,-rpath,'\$\$ORIGIN/..:\$\$ORIGIN/../..'
  description = LINK \$out
rule odr
  command = $CXX -flto=2 -O0 -shared -Wl,-z,muldefs -Wodr -Werror=odr -Werror=lto-type-mismatch $\
    -o \$out \$in
  description = ODR  \$out
rule symlink
  command = ln -sf ../\$in \$out
  description = NAME \$out
END
}

# Everything in one link, whatever its programs are: the many main() do not matter.
write_odr() {
  precompile tools/dev/precompiled.h ''
  compile $(sources cc kernels comm parallel tools tests)
  echo "build $out/everything.so: odr$objects"
}

write_targets() {
  precompile tools/dev/precompiled.h ''
  compile $(sources cc kernels comm parallel | grep -v "^comm/\(verify\|cost\)/\|$calls_mpi") \
    $(sources cu kernels comm parallel)
  echo "build $out/libringside.a: archive$objects"
  # What --as-needed leaves of $libs is written into it, so who links with it need not name them.
  if [ "$flavour" = release ]; then
    echo "build $out/libringside.so.$major: shared$objects | tools/dev/libringside.map"
    echo "build $out/libringside.so: phony $out/libringside.so.$major"
  fi
  with_mpi=
  if [ $have_mpi = 1 ]; then
    compile comm/bootstrap/mpi_library.cc
    link_mpi_library "$out/$mpi_library" "$objects" "$mpi_libs"
    with_mpi=" $out/$mpi_library"
  fi

  # An archive, so that a program takes only what it uses: launch has no use for a peer.
  compile $(sources cc comm/cost) \
    $(find tools -mindepth 2 -name '*.cc' | grep -v "$calls_mpi" | LC_ALL=C sort)
  tool_objects=" $out/tools/libtools.a"
  echo "build$tool_objects: archive$objects"
  for tool in tools/*.cc; do
    [ -e "$tool" ] || continue
    compile "$tool"
    if [ "$tool" = tools/bench.cc ] && [ $have_mpi = 1 ]; then
      bench=$objects
      compile tools/baselines/mpi.cc
      link_program tools/bench "$bench$objects$tool_objects" "-Wl,--as-needed $mpi_libs"
    else
      link_program "${tool%.cc}" "$objects$tool_objects"
    fi
    # The release's tools have short names: mpirun ./tools/ring_allreduce, which loads $with_mpi.
    [ "$flavour" != release ] ||
      echo "build ${tool%.cc}: symlink $out/${tool%.cc}${with_mpi:+ ||$with_mpi}"
  done
  [ "$flavour" != release ] ||
    echo "build installed: phony $out/libringside.a $out/libringside.so$with_mpi tools/launch"

  [ $have_mpich = 0 ] || write_bench_mpich

  [ -e tests/support/main.cc ] || return 0
  precompile tests/support/precompiled.h "$test_flags"
  criterion_library=$([ $have_criterion = 0 ] || library criterion)
  # An archive of all but the runner: the programs take what they use of it.
  folders=tests
  [ "$flavour" != fuzz ] || folders=tests/fuzz  # and nothing else is needed
  compile $(sources cc comm/verify) $(sources cc $folders | grep -v \
    '^tests/\(programs\|cuda\)/\|^tests/tools/fake_\|^tests/support/main')
  test_objects=$objects
  support_archive=" $out/tests/libsupport.a"
  echo "build$support_archive: archive$test_objects"
  compile tests/support/main.cc
  runner=$objects
  for program in tests/programs/*.cc; do
    if [ ! -e "$program" ] || left_out "$program"; then continue; fi
    compile "$program"
    more=$criterion_library
    [ "$flavour $program" != 'fuzz tests/programs/fuzz.cc' ] || more=-fsanitize=fuzzer
    link_program "${program%.cc}" "$objects$support_archive$tool_objects" "-Wl,--as-needed $more"
  done

  compile tests/tools/fake_nccl.cc  # tests have the bench load it in NCCL's place
  [ -z "$objects" ] ||
    printf 'build %s: link%s\n  libs = -shared\n' $out/tests/libfake_nccl.so "$objects"

  link_program tests/ringside_tests "$runner$test_objects$tool_objects" "$criterion_library"

  # GPU tests live in a program of their own: CUDA does not survive the fork() that Criterion
  # does for each test, so these run from the plain main.
  [ $have_cuda = 1 ] || return 0
  compile $(sources cu tests/cuda) $(sources cc tests/cuda)
  [ -z "$objects" ] ||
    link_program tests/ringside_cuda_tests "$runner$objects$support_archive$tool_objects" \
      "$criterion_library"
}

link_mpi_library() {  # link_mpi_library PATH OBJECTS MPI
  printf 'build %s: mpi_library%s %s | tools/dev/libringside_mpi.map\n  libs = %s\n' \
    "$1" "$2" "$out/libringside.a" "-Wl,--as-needed $3"
}

# The two files that call MPI, with the other's header; the library of the same name as the first's
# is found where this bench looks first.
write_bench_mpich() {
  for file in comm/bootstrap/mpi_library tools/baselines/mpi; do
    echo "build $out/mpich/$file.o: cxx $file.cc"
    echo "  flags =$mpich_cflags"
  done
  objects=" $out/mpich/comm/bootstrap/mpi_library.o"
  link_mpi_library "$out/mpich/$mpi_library" "$objects" "$mpich_libs"
  link_program tools/bench_mpich "$bench $out/mpich/tools/baselines/mpi.o$tool_objects" \
    "-Wl,-rpath,'\$\$ORIGIN/../mpich' -Wl,--as-needed$mpich_libs"
  echo "build tools/bench_mpich: symlink $out/tools/bench_mpich || $out/mpich/$mpi_library"
}

mkdir -p "$out"
write=write_targets
[ "$flavour" != odr ] || write=write_odr
{ write_rules; $write; } >"$out/build.ninja.new"
if cmp -s "$out/build.ninja.new" "$out/build.ninja"; then
  rm "$out/build.ninja.new"
else
  mv "$out/build.ninja.new" "$out/build.ninja"
fi
