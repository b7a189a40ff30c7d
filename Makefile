# ringside: the commands that a person types.  The building itself is Ninja's work; the build file
# is written by tools/dev/configure.sh, which also says what this machine lacks.  `make help` lists
# the targets.  On a fresh machine `make run` or `make test` is all there is to type.
#
#   RUN_ARGS='-b 8 -e 64M'   arguments for the program that `make run` starts
#   NP=4                     the number of ranks that `make run` starts
#   TEST_ARGS='...'          arguments for the test runner, e.g. --filter='ring*/*'
#   WERROR=1                 warnings are errors
#   CXX=clang++              another compiler; all is built anew
#   CPPFLAGS= CXXFLAGS= LDFLAGS=   as everywhere
#   PREFIX=/usr/local        where `make install` puts things, and DESTDIR= before it for packagers

NINJA ?= ninja
export NINJA WERROR
# Make's own default for CXX is a guess; only a choice that somebody made is passed on.
ifneq ($(origin CXX),default)
export CXX
endif

# Open MPI refuses root, which is what one is in most containers.
export OMPI_ALLOW_RUN_AS_ROOT = 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM = 1

ROOMS = $(wildcard kernels comm parallel tools tests)
CXX_SOURCES = find $(ROOMS) docs/example -name '*.h' -o -name '*.cc' -o -name '*.cu'

# The targets are steps in order (deps, then the build, then a run); the parallel work is Ninja's.
.NOTPARALLEL:
.PHONY: all run test deps deps-once docs docs-check style format format-check tidy clean help
.PHONY: install uninstall build-install
.PHONY: asan ubsan tsan odr fuzz
.PHONY: build-release build-asan build-ubsan build-tsan build-odr build-fuzz

all: build-release  ## build everything into build/release, and links to the tools into tools/

build-release build-asan build-ubsan build-tsan build-odr build-fuzz: build-%:
	@command -v $(NINJA) >/dev/null || { echo "ninja is missing: run 'make deps'" >&2; exit 1; }
	@tools/dev/configure.sh $*
	@$(NINJA) -f build/$*/build.ninja $(ONLY)

# mpirun starts one rank for each core.  With fewer than four hardware threads that may be a single
# rank, and a ring of one shows nothing: then ask for two, and let them share.
MPIRUN_RANKS = $(if $(NP),-n $(NP) --oversubscribe,$\
  $(shell [ "$$(nproc)" -ge 4 ] || echo '-n 2 --oversubscribe'))

# Only what is about to run is built: a newcomer who wants to see the ring need not wait for tests.
run: deps-once  ## build, then run tools/ring_allreduce under mpirun
	@$(MAKE) --no-print-directory build-release ONLY=tools/ring_allreduce
	@if command -v mpirun >/dev/null && grep -q HAVE_MPI build/release/build.ninja; then \
	  set -x; mpirun $(MPIRUN_RANKS) ./tools/ring_allreduce $(RUN_ARGS); \
	else \
	  echo "run: no Open MPI here, so the ranks are threads of one process"; \
	  set -x; ./tools/ring_allreduce --threads $(or $(NP),4) $(RUN_ARGS); \
	fi

# The documents are checked first, so that the last lines to be read are the test runner's; a stale
# document does not keep the tests from running.
test: deps-once all  ## build, then check the documents and run every test that this machine can run
	@failed=0; \
	$(MAKE) --no-print-directory docs-check || failed=1; \
	if [ -x build/release/tests/ringside_cuda_tests ]; then \
	  build/release/tests/ringside_cuda_tests --plain || failed=1; \
	fi; \
	build/release/tests/ringside_tests $(TEST_ARGS) || failed=1; \
	exit $$failed

# The plain runner runs one test after another, so two of them share all: $(call halves,PROGRAM).
halves = one=$$(mktemp); \
  { $(1) --plain --part 1/2 $(TEST_ARGS) >$$one 2>&1; echo $$? >$$one.status; } & \
  failed=0; $(1) --plain --part 2/2 $(TEST_ARGS) || failed=1; wait; cat $$one; \
  [ "$$(cat $$one.status)" = 0 ] || failed=1; rm -f $$one $$one.status; exit $$failed

asan: deps-once build-asan  ## build and test with the address sanitizer, in build/asan
	@$(call halves,build/asan/tests/ringside_tests)

ubsan: deps-once build-ubsan  ## build and test with the undefined-behaviour sanitizer
	@export UBSAN_OPTIONS=print_stacktrace=1; $(call halves,build/ubsan/tests/ringside_tests)

# TSan wants its shadow memory at fixed addresses.  Kernels that spread addresses widely (32 bits of
# randomness) collide with it, and setarch -R turns the spreading off for this one program.
tsan: deps-once build-tsan  ## build and test with the thread sanitizer
	@tests=build/tsan/tests/ringside_tests; launch=; \
	$$tests --plain --list >/dev/null 2>&1 || launch='setarch -R'; \
	export TSAN_OPTIONS=second_deadlock_stack=1; $(call halves,$$launch $$tests)

# GCC alone has the check; with another compiler there is nothing to be had.
odr: deps-once  ## check that no two files define a type differently (a build of its own)
	@if $(or $(CXX),g++) --version | grep -q 'Free Software Foundation'; then \
	  $(MAKE) --no-print-directory build-odr && tools/dev/odr.sh; \
	else echo "odr: $(CXX) does not compare definitions; GCC does"; fi

fuzz: deps-once  ## give every reader of input damaged input, SECONDS=60 for each
	@tests/fuzz/run.sh $(or $(SECONDS),60)

# Only what is installed is built: no tests.
build-install: deps-once
	@$(MAKE) --no-print-directory build-release ONLY=installed

install: build-install  ## put headers, libraries, pkg-config and ringside-launch into PREFIX
	@tools/dev/install.sh install

uninstall:  ## take away from PREFIX what `make install` has put there
	@tools/dev/install.sh uninstall

deps:  ## install what is missing (apt), or say what to install
	@tools/dev/deps.sh

deps-once:
	@tools/dev/deps.sh --once

docs: all  ## refresh the code and the output quoted in the documents
	@python3 tools/dev/check_docs.py --update

docs-check:
	@if command -v python3 >/dev/null; then \
	  python3 tools/dev/check_docs.py --self-test && python3 tools/dev/check_docs.py; \
	else echo "docs: there is no python3 here, so the documents are not checked"; fi

style:  ## check includes, layout and habits
	@python3 tools/dev/check_style.py --self-test
	@python3 tools/dev/check_style.py

format:  ## clang-format every source in place
	@$(CXX_SOURCES) | xargs -r clang-format -i

format-check:  ## say which sources clang-format would change
	@$(CXX_SOURCES) | xargs -r clang-format --dry-run -Werror

tidy: build-release  ## clang-tidy every C++ source
	@$(NINJA) -f build/release/build.ninja -t compdb cxx >build/release/compile_commands.json
	@find $(ROOMS) -name '*.cc' | \
	  xargs -r -P "$$(nproc)" -n 4 clang-tidy --quiet -p build/release

clean:  ## remove build/ and the links in tools/
	@rm -rf build
	@find tools -maxdepth 1 -type l -delete

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  \1	\2/p' Makefile | expand -t 18
