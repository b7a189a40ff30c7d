# Finds out what this machine has: sourced by tools/dev/configure.sh, and the one place where a
# package is found or not found.
#
# Nothing but a C++20 compiler is required; for each other part that is missing one line says what
# is switched off. Each find_x sets have_x to 1 or 0, and what is needed to compile and link with x.
# From configure.sh come $verbose and $mode; $missing collects the names for its --missing.

missing=
found()  { if [ "$verbose" = 1 ]; then echo "configure: found $1: $2"; fi; }
absent() {  # absent NAME SENTENCE
  missing="$missing $1"
  if [ "$mode" = write ]; then echo "configure: $2"; fi
}

find_compiler() {
  if [ -z "${CXX:-}" ]; then
    for CXX in g++ c++ clang++; do command -v "$CXX" >/dev/null 2>&1 && break; done
  fi
  nccl_include=${NCCL_HOME:+-I$NCCL_HOME/include}
  # One run of the preprocessor answers every question about headers.
  headers=$(printf '%s\n' \
    '#if __cplusplus >= 202002L' '+cxx20' '#endif' \
    '#ifdef __x86_64__' '+x86' '#endif' \
    '#if __has_include(<infiniband/verbs.h>)' '+verbs' '#endif' \
    '#if __has_include(<criterion/criterion.h>)' '+criterion' '#endif' \
    '#if __has_include(<cblas.h>)' '+openblas' '#endif' \
    '#if __has_include(<gloo/context.h>)' '+gloo' '#endif' \
    '#if __has_include(<cublas_v2.h>)' '+cublas' '#endif' \
    '#if __has_include(<nccl.h>)' '+nccl' '#endif' |
    $CXX -std=c++20 ${CPPFLAGS:-} -E -P -x c++ ${nccl_include} - 2>/dev/null) || headers=
  case $headers in
    *+cxx20*) found compiler "$CXX" ;;
    *) absent compiler "no C++20 compiler: '$CXX' does not do; run 'make deps' or set CXX" ;;
  esac
}

has() { case $headers in *"+$1"*) return 0 ;; *) return 1 ;; esac }

links() { echo 'int main() {}' | $CXX -x c++ - ${LDFLAGS:-} -o /dev/null "$@" 2>/dev/null; }

# A header without its library (cblas.h of another BLAS, say) must not break the link later.
# One link asks for all of them at once; only when it fails is each asked for by itself.
find_libraries() {
  wanted=
  for name in verbs criterion openblas gloo; do has $name && wanted="$wanted $name"; done
  all=
  for name in $wanted; do all="$all $(library $name)"; done
  # shellcheck disable=SC2086
  if ! links $all; then
    all=$wanted wanted=
    for name in $all; do links "$(library "$name")" && wanted="$wanted $name"; done
  fi
  for name in verbs criterion openblas gloo; do
    case " $wanted " in
      *" $name "*) eval "have_$name=1"; found "$name" "$(library "$name")" ;;
      *) eval "have_$name=0"; absent "$name" "$(consequence "$name")" ;;
    esac
  done
}

library() { if [ "$1" = verbs ]; then echo -libverbs; else echo "-l$1"; fi; }

consequence() {
  case $1 in
    verbs) echo "no libibverbs: the RDMA transport is left out; tcp joins the hosts" ;;
    criterion) echo "no Criterion: the tests run from their plain main, one after another" ;;
    gloo) echo "no Gloo: the bench has one peer less" ;;
    openblas) echo "no OpenBLAS: the bench shows no peer beside our matrix product" ;;
  esac
}

find_mpi() {
  mpicxx=${MPICXX:-mpicxx}
  have_mpi=0
  if mpi_cflags=$($mpicxx --showme:compile 2>/dev/null); then
    have_mpi=1
    mpi_libs=$($mpicxx --showme:link)
    found mpi "$mpicxx"
  else
    absent mpi "no Open MPI: ranks start by tools/launch or as threads, not by mpirun"
  fi
}

# A second MPI beside the first: a bench of its own is linked with it (tools/bench_mpich), as a
# process can know only one.  Few machines have two, so where it is missing nothing is said.
find_mpich() {
  have_mpich=0
  [ $have_mpi = 1 ] || return 0
  mpich=$(command -v mpicc.mpich) && words=$($mpich -compile-info) || return 0
  have_mpich=1 mpich_cflags='' mpich_libs=''
  for word in $words $($mpich -link-info); do
    case $word in
      -I*) mpich_cflags="$mpich_cflags $word" ;;
      -L*|-l*) mpich_libs="$mpich_libs $word" ;;
    esac
  done
  found mpich "$mpich"
}

find_cuda() {
  have_cuda=0 cuda_flags='' cuda_libs=''
  for nvcc in "${CUDA_HOME:-/none}/bin/nvcc" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc
  do
    [ -x "$nvcc" ] && break
  done
  release=$("$nvcc" --version 2>/dev/null | sed -n 's/.*release \([0-9]*\).*/\1/p') || true
  if [ "${release:-0}" -lt 12 ]; then
    absent cuda "no CUDA toolkit of version 12 or newer (nvcc): the GPU executors are left out"
    return
  fi
  have_cuda=1
  found cuda "$nvcc"
  cuda_root=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  for folder in "$cuda_root/lib64" "$cuda_root/targets/$(uname -m)-linux/lib" "$cuda_root/lib"; do
    [ -e "$folder/libcudart_static.a" ] && cuda_libs="-L$folder" && break
  done
  cuda_libs="$cuda_libs -lcudart_static -lrt"
  # /usr/include is searched already, and naming it again would break <cstdlib>'s include_next.
  [ "$cuda_root" = /usr ] || cuda_flags="-isystem $cuda_root/include"
}

find_cublas() {
  have_cublas=0  # loaded at run time, like NCCL
  [ $have_cuda = 1 ] || return 0  # said once is enough
  if [ -e "$cuda_root/include/cublas_v2.h" ] || has cublas; then have_cublas=1; fi
  [ $have_cublas = 0 ] || found cublas cublas_v2.h
  [ $have_cublas = 1 ] || absent cublas "no cublas_v2.h: on a GPU only our own matrix product"
}

find_nccl() {
  have_nccl=0
  # NCCL is loaded at run time, so its header is all that a build needs.
  if has nccl || { [ $have_cuda = 1 ] && [ -e "$cuda_root/include/nccl.h" ]; }; then
    have_nccl=1
    found nccl nccl.h
  else
    absent nccl "no nccl.h: the bench shows no NCCL beside our collectives"
  fi
}
