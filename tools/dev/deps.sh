#!/bin/sh
# Installs what tools/dev/configure.sh finds missing, where that can be done without asking anybody.
#
# On Debian and Ubuntu that means apt, as root or through sudo.  Anywhere else this prints what to
# install.  Everything but the compiler and ninja is optional, so a failure to install one of the
# rest (no network, say) is a sentence and not an error: the build switches that part off.
#
#   tools/dev/deps.sh           try to install all that is missing
#   tools/dev/deps.sh --once    the same, but do not try again what was tried here before
#   tools/dev/deps.sh clang …   the same, and these packages too
set -eu
CDPATH= cd -- "$(dirname "$0")/../.."

package_of() {
  case $1 in
    compiler) echo g++ ;;
    ninja) echo ninja-build ;;
    mpi) echo libopenmpi-dev openmpi-bin ;;
    criterion) echo libcriterion-dev ;;
    verbs) echo libibverbs-dev ;;
    openblas) echo libopenblas-dev ;;
    gloo) echo libgloo-dev ;;
    python3) echo python3 ;;
    pkg-config) echo pkg-config ;;
  esac  # CUDA and NCCL come from NVIDIA, in a version that fits the driver: not ours to choose.
}

packages=
[ "${1:-}" = --once ] || packages=" $*"
for part in $(tools/dev/configure.sh --missing); do
  for package in $(package_of "$part"); do packages="$packages $package"; done
done
packages=${packages# }

# `make test` runs this each time; a machine without a network should not wait for apt each time.
tried=build/deps-tried
if [ -n "$packages" ] && [ "${1:-}" = --once ] &&
   [ "$(cat $tried 2>/dev/null || true)" = "$packages" ]; then
  packages=
fi

as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=none
  if command -v sudo >/dev/null 2>&1; then
    # Without a terminal nobody can type a password.
    if [ -t 0 ]; then as_root=sudo; elif sudo -n true 2>/dev/null; then as_root='sudo -n'; fi
  fi
fi

apt() {
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 \
    -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60 "$@" </dev/null
}

if [ -n "$packages" ]; then
  if command -v apt-get >/dev/null 2>&1 && [ "$as_root" != none ]; then
    echo "deps: installing $packages"
    apt update || echo "deps: apt-get update failed; trying with the lists at hand"
    # One package that does not exist here must not take the others with it.
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $packages >/dev/null || for package in $packages; do
      apt install -y --no-install-recommends "$package" >/dev/null ||
        echo "deps: could not install $package"
    done
  else
    echo "deps: please install: $packages"
  fi
  mkdir -p build
  echo "$packages" >$tried
fi

case " $(tools/dev/configure.sh --missing) " in
  *" compiler "*) echo "deps: there is no C++20 compiler, so nothing can be built" >&2; exit 1 ;;
  *" ninja "*) echo "deps: ninja is missing, so nothing can be built" >&2; exit 1 ;;
esac
