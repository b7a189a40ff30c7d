// ringside used from outside: installed into a folder of its own, a program built against that and
// run, and everything taken away again. All paths have a space in them.
//
// What is installed is the release's, so the sanitizers' flavours have nothing to add here.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "comm/error.h"
#include "comm/version.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

namespace fs = std::filesystem;
using namespace test;

fs::path root() { return test::program_path("../.."); }

// A folder, gone afterwards, with a place to install to and a copy of the example.
class Place {
 public:
  fs::path folder() const { return folder_.path(); }
  fs::path prefix() const { return folder() / "prefix"; }

  // The Makefile's own rule, but for the building: that would build with other flags than were
  // asked for if this test was started by hand.
  RunResult make(const std::string& target, const std::string& prefix,
                 const std::string& destdir = "") const {
    return run({"env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-C", root().string(),
                "--no-print-directory", "-o", "build-install", target, "PREFIX=" + prefix,
                "DESTDIR=" + destdir});
  }

  // Builds the example, in a copy, as its page says.
  RunResult build_example(const std::string& package) const {
    fs::copy(root() / "docs/example", folder() / "example",
             fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    return run({"env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL",
                "PKG_CONFIG_PATH=" + (prefix() / "lib/pkgconfig").string(), "make", "-B", "-C",
                (folder() / "example").string(), "RINGSIDE=" + package, "CXXFLAGS=-O0"});
  }
  std::string example() const { return (folder() / "example/hello_allreduce").string(); }

 private:
  const test::Folder folder_{"ringside test"};
};

// All below a folder, in order.
Words contents(const fs::path& folder) {
  Words all;
  if (fs::exists(folder))
    for (const fs::directory_entry& it : fs::recursive_directory_iterator(folder))
      all.push_back(fs::relative(it.path(), folder).string());
  std::sort(all.begin(), all.end());
  return all;
}

void require_release() {
  if (!contains(test::program_path(""), "/build/release/"))
    SKIP("what is installed is the release's");
}

// Every rank once, with the sum.
void check_hello(Context& t, const RunResult& result, int ranks) {
  CHECK_MSG(result.exit_code == 0, "exit status %d: %s", result.exit_code, result.err.c_str());
  Words lines = lines_of(result.out), wanted;
  std::sort(lines.begin(), lines.end());
  for (int rank = 0; rank < ranks; ++rank)
    wanted.push_back(text("rank %d of %d: the sum of 1 to %d is %d", rank, ranks, ranks,
                          ranks * (ranks + 1) / 2));
  CHECK_MSG(lines == wanted, "not what was wanted: %s", result.out.c_str());
}

}  // namespace

RINGSIDE_TEST(install, the_example_builds_and_runs_with_either_library) {
  require_release();
  if (!have_program("pkg-config")) SKIP("there is no pkg-config here");
  const Place place;
  check_ends(t, place.make("install", place.prefix()), 0, 20);
  for (const std::string package : {"ringside", "ringside-static"}) {
    const RunResult built = place.build_example(package);
    REQUIRE(built.ok());
    const std::string wanted = run({"ldd", place.example()}).out;
    CHECK_EQ(contains(wanted, (place.prefix() / "lib/libringside.so.0").string()),
             package == "ringside");
    check_hello(
        t, run({(place.prefix() / "bin/ringside-launch").string(), "-n", "3", place.example()}), 3);
    check_hello(t, run({place.example()}), 1);
    if (!test::have_mpi()) continue;
    CHECK_MSG(!contains(wanted, "libmpi"), "%s: %s", package.c_str(), wanted.c_str());
    check_hello(t, run(with(test::mpirun_argv(2), {place.example()})), 2);
  }
  // To see that the check can fail: with one header missing from the set there is no program.
  fs::remove(place.prefix() / "include/ringside/work.h");
  const RunResult broken = place.build_example("ringside");
  CHECK(!broken.ok() && contains(broken.err, "ringside/work.h"));
}

RINGSIDE_TEST(install, headers_need_nothing_but_each_other) {
  require_release();
  const Place place;
  check_ends(t, place.make("install", place.prefix()), 0, 20);
  const fs::path include = place.prefix() / "include";
  std::string program;
  for (const std::string& header : contents(include)) {
    if (!header.ends_with(".h")) continue;
    program += "#include \"" + header + "\"\n";
    const std::string words = read_file(include / header);
    for (const char* foreign : {"<cuda", "<mpi", "<nccl", "<infiniband"})
      CHECK_MSG(!contains(words, foreign), "%s needs what not everybody has", header.c_str());
    CHECK_MSG(!contains(words, "RINGSIDE_HAVE_"), "%s depends on how it was built", header.c_str());
  }
  check_has(t, program, {"ringside/communicator.h", "ringside/version.h"});
  CHECK_MSG(!contains(program, "peers/peers.h"), "what is private was installed");
  std::ofstream(place.folder() / "all.cc") << program << "int main() {}\n";
  const RunResult compiled =
      run({"sh", "-c",
           "${CXX:-c++} -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I\"$0\" \"$1\"",
           include.string(), (place.folder() / "all.cc").string()});
  CHECK_MSG(compiled.ok(), "%s", compiled.err.c_str());
}

// A program may have files of the same names, in rooms of the same names; and a compiler that is
// told of an older C++ says what is wrong first.
RINGSIDE_TEST(install, headers_leave_a_programs_own_alone) {
  require_release();
  const Place place;
  check_ends(t, place.make("install", place.prefix()), 0, 20);
  for (const char* room : {"comm", "kernels"}) {
    fs::create_directories(place.folder() / room);
    for (const char* name : {"error.h", "dtype.h", "options.h"})
      std::ofstream(place.folder() / room / name) << "#error not meant\n";
  }
  std::ofstream(place.folder() / "own.cc") << "#include <ringside/communicator.h>\nint main() {}\n";
  const auto compiled = [&](const std::string& standard) {
    return run({"sh", "-c",
                "${CXX:-c++} -std=" + standard + " -fsyntax-only -I\"$0\" -I\"$1\" \"$2\"",
                place.folder().string(), (place.prefix() / "include").string(),
                (place.folder() / "own.cc").string()});
  };
  const RunResult today = compiled("c++20");
  CHECK_MSG(today.ok(), "%s", today.err.c_str());
  const RunResult older = compiled("c++17");
  const std::size_t first = older.err.find("error:");
  CHECK(!older.ok() && first != std::string::npos);
  CHECK_MSG(contains(lines_of(older.err.substr(first))[0], "ringside needs C++20"), "%s",
            older.err.c_str());
}

RINGSIDE_TEST(install, cmake_finds_it_in_four_ways) {
  require_release();
  if (!have_program("cmake") || !have_program("pkg-config")) SKIP("there is no cmake here");
  const Place place;
  check_ends(t, place.make("install", place.prefix()), 0, 20);
  const fs::path source = place.folder() / "cmake", binary = place.folder() / "binary";
  fs::create_directories(source);
  fs::copy(root() / "docs/example/hello_allreduce.cc", source);
  std::ofstream(source / "CMakeLists.txt") << R"(cmake_minimum_required(VERSION 3.16)
project(hello CXX)
find_package(ringside 0.1 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(shared REQUIRED IMPORTED_TARGET ringside)
pkg_check_modules(static REQUIRED IMPORTED_TARGET ringside-static)
foreach(target ringside::ringside ringside::static PkgConfig::shared PkgConfig::static)
  string(REPLACE "::" "_" name ${target})
  add_executable(${name} hello_allreduce.cc)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} ${target})
endforeach()
)";
  const RunResult built =
      run({"env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL",
           "PKG_CONFIG_PATH=" + (place.prefix() / "lib/pkgconfig").string(),
           "CMAKE_PREFIX_PATH=" + place.prefix().string(), "sh", "-c",
           "cmake -S \"$0\" -B \"$1\" && cmake --build \"$1\"", source.string(), binary.string()});
  REQUIRE(built.ok());
  for (const std::string name :
       {"ringside_ringside", "ringside_static", "PkgConfig_shared", "PkgConfig_static"}) {
    const std::string program = (binary / name).string();
    check_hello(t, run({program}), 1);
    CHECK_EQ(contains(run({"ldd", program}).out, "libringside.so"),
             name == "ringside_ringside" || name == "PkgConfig_shared");
  }
  // To see that the version counts: another one is not found.
  std::ofstream(source / "CMakeLists.txt") << "cmake_minimum_required(VERSION 3.16)\nproject(hello "
                                              "CXX)\nfind_package(ringside 0.2 REQUIRED)\n";
  const RunResult other = run({"env", "CMAKE_PREFIX_PATH=" + place.prefix().string(), "cmake", "-S",
                               source.string(), "-B", binary.string()});
  CHECK(!other.ok() && contains(other.err, "version: 0.1"));
}

RINGSIDE_TEST(install, uninstall_takes_away_exactly_what_was_put) {
  require_release();
  const Place place;
  const fs::path prefix = place.prefix(), stranger = prefix / "lib/of_somebody_else";
  check_ends(t, place.make("install", prefix), 0, 20);
  const Words first = contents(prefix);
  CHECK(first.size() > 20);
  struct stat status {};
  for (const auto& [path, mode] : {std::pair{"bin/ringside-launch", 0755u},
                                   {"bin/ringside-flight", 0755u},
                                   {"lib/libringside.a", 0644u},
                                   {"include/ringside/communicator.h", 0644u},
                                   {"include/ringside/bootstrap", 0755u}}) {
    CHECK_EQ(::stat((prefix / path).c_str(), &status), 0);
    CHECK_EQ(status.st_mode & 07777u, mode);
  }
  // Of a file that an older version had put there, the second install leaves nothing.
  std::ofstream(prefix / "share/ringside/installed", std::ios::app)
      << "file include/ringside/old.h\n";
  std::ofstream(prefix / "include/ringside/old.h") << "// gone since\n";
  check_ends(t, place.make("install", prefix), 0, 20);
  CHECK(contents(prefix) == first);
  std::ofstream(stranger) << "mine\n";
  check_ends(t, place.make("uninstall", prefix), 0, 20);
  CHECK(contents(prefix) == (Words{"lib", "lib/of_somebody_else"}));
  const RunResult twice = place.make("uninstall", prefix);
  CHECK(!twice.ok() && contains(twice.err, "has put nothing below"));
  // Without a stranger not even the prefix stays, as it was made here.
  fs::remove_all(prefix);
  check_ends(t, place.make("install", prefix), 0, 20);
  check_ends(t, place.make("uninstall", prefix), 0, 20);
  CHECK(contents(place.folder()).empty());
}

// What stops it in the middle, here a folder in the place of a file, leaves an account of what is
// there by then.
RINGSIDE_TEST(install, what_was_begun_can_be_taken_away) {
  require_release();
  const Place place;
  const fs::path in_the_way = place.prefix() / "lib/libringside.so";
  fs::create_directories(in_the_way);
  const RunResult stopped = place.make("install", place.prefix());
  CHECK(!stopped.ok() && contains(stopped.err, "is a folder, and a file is to lie there"));
  CHECK(contents(place.prefix()).size() > 10);
  check_ends(t, place.make("uninstall", place.prefix()), 0, 20);
  CHECK(contents(place.prefix()) == (Words{"lib", "lib/libringside.so"}));
}

RINGSIDE_TEST(install, a_packager_collects_below_destdir) {
  require_release();
  const Place place;
  check_ends(t, place.make("install", "/opt/some where", place.folder()), 0, 20);
  const fs::path inside = place.folder() / "opt/some where";
  CHECK(fs::exists(inside / "lib/libringside.so"));
  const std::string package = read_file(inside / "lib/pkgconfig/ringside.pc");
  CHECK(package.starts_with("prefix=/opt/some\\ where\n"));
  CHECK(contains(package, std::string("Version: ") + kVersion + "\n"));
  check_ends(t, place.make("uninstall", "/opt/some where", place.folder()), 0, 20);
  CHECK(!fs::exists(inside));
}

RINGSIDE_TEST(install, what_cannot_be_written_is_said_before_anything_is_changed) {
  require_release();
  const Place place;
  std::ofstream(place.folder() / "file") << "no folder\n";
  const RunResult no_folder = place.make("install", place.folder() / "file/prefix");
  CHECK(!no_folder.ok() && contains(no_folder.err, "is no folder; choose another PREFIX"));
  if (::geteuid() == 0) return;  // root may write anywhere
  fs::create_directories(place.prefix() / "lib");
  ::chmod((place.prefix() / "lib").c_str(), 0555);
  const RunResult refused = place.make("install", place.prefix());
  CHECK(!refused.ok() && contains(refused.err, "cannot be written to by"));
  CHECK(contents(place.prefix()) == Words{"lib"});
}

// What is inside the shared library besides ringside must not get in the program's way.
RINGSIDE_TEST(install, the_shared_library_shows_ringside_alone) {
  require_release();
  if (!have_program("nm")) SKIP("there is no nm here");
  const RunResult shown =
      run({"nm", "-DC", "--defined-only", test::program_path("libringside.so.0")});
  REQUIRE(shown.ok());
  std::size_t ours = 0;
  for (const std::string& line : lines_of(shown.out)) {
    const bool is_ours = contains(line, "ringside::");
    ours += is_ours ? 1 : 0;
    CHECK_MSG(is_ours, "it shows %s", line.c_str());
  }
  CHECK(ours > 50);
}

// MPI brings some thirty libraries along; only a program that calls it shall need them.
RINGSIDE_TEST(install, nothing_but_the_bench_needs_mpi) {
  require_release();
  if (!test::have_mpi() || !have_program("ldd"))
    SKIP("there is no MPI in this build, or no ldd here");
  const auto needs_mpi = [&t](const std::string& built) {
    const RunResult result = run({"ldd", test::program_path(built)});
    CHECK_MSG(result.ok(), "%s", result.err.c_str());
    return contains(result.out, "libmpi.so");
  };
  for (const char* built : {"libringside.so.0", "tools/launch", "tools/ring_allreduce",
                            "tools/stress", "tests/ringside_tests", "tests/programs/any_rank"})
    CHECK_MSG(!needs_mpi(built), "%s needs MPI", built);
  CHECK(needs_mpi("tools/bench") && needs_mpi("libringside_mpi.so.0"));
}

}  // namespace ringside
