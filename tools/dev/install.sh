#!/bin/sh
# Puts what a program of one's own needs below PREFIX, and takes exactly that away again.
#
#   tools/dev/install.sh install|uninstall        (make install, make uninstall)
#
#   PREFIX/include/ringside/...               the public headers: <ringside/communicator.h>
#   PREFIX/lib/libringside.a, .so, .so.0      the library, static and shared
#   PREFIX/lib/libringside_mpi.so.0           what it loads under mpirun, if there was an MPI
#   PREFIX/lib/pkgconfig/ringside.pc          how to compile and link, with the shared library
#   PREFIX/lib/pkgconfig/ringside-static.pc   the same with the static one
#   PREFIX/lib/cmake/ringside/                both for CMake: ringside::ringside, ringside::static
#   PREFIX/bin/ringside-launch                tools/launch: starts ranks without MPI
#   PREFIX/bin/ringside-flight                tools/flight: reads what ranks wrote when one failed
#   PREFIX/share/ringside/installed           what was installed, for uninstall
#
# A second install first takes away what the first one has put there, so no header of an older
# version stays behind.  The other tools are not installed: they study ringside, and live where its
# text is.
#
# Read from the environment: PREFIX (default /usr/local), and DESTDIR (default nothing), a folder
# before PREFIX in which a packager collects the files.
set -eu
CDPATH= cd -- "$(dirname "$0")/../.."

# The public headers are these and what they include.  This is the only list.
public_roots='comm/communicator.h comm/bootstrap/start.h comm/bootstrap/mpi.h comm/bootstrap/tcp.h
  comm/bootstrap/threads.h comm/version.h comm/allocate.h'

built=build/release
fail() { echo "install: $*" >&2; exit 1; }

public_headers() {
  queue=$public_roots seen=
  while [ -n "$queue" ]; do
    # shellcheck disable=SC2086
    set -- $queue
    header=$1; shift
    queue=$*
    case " $seen " in *" $header "*) continue ;; esac
    seen="$seen $header"
    queue="$queue $(sed -n 's/^ *# *include "\([^"]*\)".*/\1/p' "$header" | tr '\n' ' ')"
  done
  echo "$seen"
}

# ---- Where ----------------------------------------------------------------------------------

prefix=${PREFIX:-/usr/local}
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
target=${DESTDIR:-}$prefix
list=share/ringside/installed
case $target in
  *[\"\'\$\`\\]*) fail "pkg-config cannot deal with quotes, \$ and \\ in a path: $target" ;;
esac

# Before anything is changed: can the folders be written to, or made?
check_writable() {
  folder=$target
  while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
  for folder in "$folder" "$target/bin" "$target/lib" "$target/lib/pkgconfig" "$target/include" \
    "$target/share" "$target/share/ringside"
  do
    [ -e "$folder" ] || continue
    [ -d "$folder" ] || fail "$folder is no folder; choose another PREFIX"
    [ -w "$folder" ] || fail "$folder cannot be written to by $(id -un); choose another PREFIX" \
      "(make install PREFIX=\$HOME/ringside), or ask somebody who may"
  done
}

# ---- Taking away ----------------------------------------------------------------------------

# The list names files and the folders made for them, in the order in which they were made.  A
# folder in which something else lies by now stays.
take_away() {
  sed -n 's/^file //p' "$target/$list" >"$scratch/paths"
  while IFS= read -r path; do
    case /$path/ in *//*|*/../*) fail "$target/$list is damaged: $path" ;; esac
    rm -f "$target/$path"
  done <"$scratch/paths"
  sed -n '1!G;h;$p' "$target/$list" | sed -n 's/^folder //p' >"$scratch/paths"
  rm -f "$target/$list"
  while IFS= read -r path; do
    [ "$path" = . ] && path= || path=/$path
    rmdir "$target$path" 2>/dev/null || true
  done <"$scratch/paths"
}

# ---- Putting --------------------------------------------------------------------------------

# Everything is noted before it is made: whatever stops this script, uninstall knows what to take.
note() {
  if [ -e "$target/$list" ]; then echo "$*" >>"$target/$list"; else echo "$*" >>"$scratch/notes"; fi
}

make_folder() {  # make_folder PATH: below the target, and noted if it is new
  [ "$1" = . ] || make_folder "$(dirname "$1")"
  [ -d "$target/$1" ] && return
  note "folder $1"
  case $1 in .) install -d -m 755 "$target" ;; *) install -d -m 755 "$target/$1" ;; esac
}

begin_list() {
  : >"$scratch/notes"
  make_folder "$(dirname $list)"
  install -m 644 "$scratch/notes" "$target/$list"
}

make_room() {  # make_room PATH: what is to be a file must not be a folder
  [ ! -d "$target/$1" ] || [ -L "$target/$1" ] ||
    fail "$target/$1 is a folder, and a file is to lie there; take it away first"
}

put() {  # put MODE SOURCE PATH
  make_room "$3"
  make_folder "$(dirname "$3")"
  note "file $3"
  install -m "$1" "$2" "$target/$3"
}

# comm/error.h becomes <ringside/error.h>, so that a program may have a comm/error.h of its own. One
# sentence for an older C++ is better than the many that would follow.
put_header() {  # put_header HEADER
  sed -e 's,^\( *# *include "\)comm/,\1ringside/,' \
    -e 's,^\( *# *include "\)kernels/,\1ringside/kernels/,' -e "/^#pragma once/r $scratch/cxx20" \
    "$1" >"$scratch/header"
  put 644 "$scratch/header" "include/ringside/${1#comm/}"
}

put_link() {  # put_link TO PATH
  make_room "$2"
  note "file $2"
  ln -sfn "$1" "$target/$2"
}

# pkg-config splits its fields at spaces; a path's own get a backslash.
escaped() { printf '%s' "$1" | sed 's/[ #]/\\&/g'; }

package() {  # package NAME LINE...: a file for pkg-config
  echo "prefix=$(escaped "$prefix")"
  echo "includedir=\${prefix}/include"
  echo "libdir=\${prefix}/lib"
  echo
  echo "Name: $1"; shift
  echo "Description: collectives from scratch, over memory that ranks share"
  echo "Version: $version"
  echo "Cflags: -I\${includedir} -pthread"
  printf '%s\n' "$@"
}

# A program for mpirun must know the place of libringside_mpi, which CMake writes into it together
# with that of a shared library, but not with that of a static one.
cmake_package() {  # cmake_package STATIC_LIBS
  cat <<END
include(CMakeFindDependencyMacro)
find_dependency(Threads)
get_filename_component(prefix "\${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
foreach(kind ringside static)
  if(NOT TARGET ringside::\${kind})
    add_library(ringside::\${kind} UNKNOWN IMPORTED)
    set_target_properties(ringside::\${kind} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "\${prefix}/include" INTERFACE_COMPILE_FEATURES cxx_std_20)
  endif()
endforeach()
set_target_properties(ringside::ringside PROPERTIES
  IMPORTED_LOCATION "\${prefix}/lib/libringside.so" INTERFACE_LINK_LIBRARIES Threads::Threads)
set_target_properties(ringside::static PROPERTIES
  IMPORTED_LOCATION "\${prefix}/lib/libringside.a"
  INTERFACE_LINK_LIBRARIES "$1;Threads::Threads" INTERFACE_LINK_OPTIONS "-Wl,-rpath,\${prefix}/lib")
END
}

# While MAJOR is 0 each version is another library.
cmake_version() {
  cat <<END
set(PACKAGE_VERSION $version)
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
string(FIND "$version." "\${PACKAGE_FIND_VERSION}." at)
if(at EQUAL 0)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
END
}

put_all() {
  printf '#if __cplusplus < 202002L\n#error "ringside needs C++20: -std=c++20"\n#endif\n' \
    >"$scratch/cxx20"
  for header in $(public_headers); do put_header "$header"; done
  put 644 $built/libringside.a lib/libringside.a
  put 755 "$built/libringside.so.$major" "lib/libringside.so.$major"
  ! grep -q "^build $built/libringside_mpi.so" $built/build.ninja ||
    put 755 "$built/libringside_mpi.so.$major" "lib/libringside_mpi.so.$major"
  put_link "libringside.so.$major" lib/libringside.so
  # The linker prefers a shared library, --static or not; so the static one has a name of its own.
  put_link libringside.a lib/libringside_static.a
  put 755 $built/tools/launch bin/ringside-launch
  put 755 tools/flight bin/ringside-flight

  # Only what the static library really calls is kept, whatever else stands on the line.
  private=$(sed -n 's/^library_libs = *//p' $built/build.ninja)
  private="-Wl,--push-state,--as-needed $private -Wl,--pop-state"
  # shellcheck disable=SC2016
  package ringside 'Libs: -L${libdir} -lringside -pthread' "Libs.private: $private" >"$scratch/pc"
  put 644 "$scratch/pc" lib/pkgconfig/ringside.pc
  package ringside-static "Libs: -L\${libdir} -lringside_static $private" >"$scratch/pc"
  put 644 "$scratch/pc" lib/pkgconfig/ringside-static.pc
  cmake_package "$(echo "$private" | tr ' ' ';')" >"$scratch/cmake"
  put 644 "$scratch/cmake" lib/cmake/ringside/ringsideConfig.cmake
  cmake_version >"$scratch/cmake"
  put 644 "$scratch/cmake" lib/cmake/ringside/ringsideConfigVersion.cmake
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case ${1:-} in
  install)
    [ -e $built/libringside.a ] || fail "nothing is built yet; 'make install' builds first"
    version=$(sed -n 's/.*kVersion = "\(.*\)".*/\1/p' comm/version.h) major=${version%%.*}
    check_writable
    [ ! -e "$target/$list" ] || take_away
    begin_list
    put_all
    echo "install: ringside $version, $(grep -c ^file "$target/$list") files below $target"
    ;;
  uninstall)
    [ -e "$target/$list" ] || fail "'make install' has put nothing below $target"
    check_writable
    take_away
    echo "uninstall: nothing of ringside is left below $target"
    ;;
  *) echo "usage: tools/dev/install.sh install|uninstall" >&2; exit 2 ;;
esac
