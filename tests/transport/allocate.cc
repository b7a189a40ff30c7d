// Memory from allocate(): what a caller is promised of it, and what the system holds for it.
//
// That its bytes are read where they lie, and what becomes of a call then, is told by
// tests/transport/allocate_collectives.cc; how they are reached, by tests/transport/transport.cc.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "comm/allocate.h"
#include "comm/transport/shm/allocations.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tests/support/process.h"
#include "tools/fuzz/resources.h"

using namespace ringside;
using namespace ringside::test;

namespace {

std::byte* allocate_bytes(std::size_t bytes) { return static_cast<std::byte*>(allocate(bytes)); }

bool all_zero(const std::byte* at, std::size_t bytes) {
  return std::all_of(at, at + bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::uint64_t number_of(const void* memory) {
  return Allocations::of_this_process().find(memory).from.allocation;
}

// How much memory a file has, whoever holds it: a hole has none.
std::size_t bytes_behind(const UniqueFd& fd) {
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_system("fstat");
  return static_cast<std::size_t>(status.st_blocks) * 512;
}

}  // namespace

RINGSIDE_TEST(allocate, gives_zeroed_pages_of_any_size) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{4031}, std::size_t{4032},
        std::size_t{4033}, std::size_t{4096}, std::size_t{100'001}, std::size_t{5} << 20}) {
    // Somebody has used such memory before.
    for (int again = 0; again < 2; ++again) {
      std::byte* memory = allocate_bytes(bytes);
      REQUIRE(memory != nullptr);
      CHECK_EQ(reinterpret_cast<std::uintptr_t>(memory) % kPageBytes, 0u);
      CHECK_MSG(all_zero(memory, bytes), "%zu bytes are not zeroed", bytes);
      std::memset(memory, 0xff, bytes);
      // To write to all of it does not take it for given back.
      CHECK(number_of(memory) != 0);
      deallocate(memory);
    }
  }
}

// All of it can be exposed, from anywhere in it; and nothing beside it.
RINGSIDE_TEST(allocate, all_that_was_asked_for_can_be_exposed) {
  Allocations& table = Allocations::of_this_process();
  CHECK_EQ(table.find(nullptr).bytes, 0u);
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4032}, std::size_t{10'000}}) {
    std::byte* memory = allocate_bytes(bytes);
    const std::uint64_t number = number_of(memory);
    for (const std::size_t at : {std::size_t{0}, bytes / 3, bytes - 1}) {
      const Exposable it = table.find(memory + at);
      CHECK_EQ(it.from.allocation, number);
      CHECK_EQ(it.from.offset_bytes, at);
      CHECK(it.bytes >= bytes - at);
    }
    const std::size_t whole = table.mapping(number)->bytes();
    // The last line is the table's own.
    CHECK_EQ(table.find(memory).bytes, whole - kLineBytes);
    for (const std::byte* beside : {memory - 1, memory + whole - 1, memory + whole}) {
      const Exposable it = table.find(beside);
      CHECK(it.from.allocation != number && (it.bytes == 0 || it.from.allocation != 0));
    }
    std::vector<std::byte> ordinary(64);
    CHECK_EQ(table.find(ordinary.data()).bytes, 0u);
    deallocate(memory);
    CHECK_EQ(table.find(memory).bytes, 0u);
    CHECK(table.mapping(number) == nullptr);
    CHECK(!table.descriptor(number));
  }
}

RINGSIDE_TEST(allocate, too_much_is_an_error_with_a_sentence) {
  const tools::Resources before = tools::resources_held(true);
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 1, SIZE_MAX / 2,
                                  std::size_t{1} << 55, std::size_t{1} << 46}) {
    const Ending ending = ending_of([&] { allocate(bytes); });
    check_fault(t, ending, Fault::system, {"bytes of shared memory"}, text("%zu bytes", bytes));
  }
  check_nothing_kept(t, before);
}

RINGSIDE_TEST(allocate, what_is_no_allocation_is_not_given_back) {
  std::byte* memory = allocate_bytes(10'000);
  std::byte* other = allocate_bytes(1);
  std::vector<std::byte> ordinary(64);
  deallocate(nullptr);
  const auto check_refused = [&](void* what, const char* name) {
    const Ending ending = ending_of([&] { deallocate(what); });
    check_fault(t, ending, Fault::usage, {"is not what allocate returned, or was given back"},
                name);
  };
  check_refused(memory + 1, "a byte in it");
  check_refused(memory + kPageBytes, "a page of it");
  check_refused(ordinary.data(), "ordinary memory");
  // What is refused is left alone.
  std::memset(memory, 1, 10'000);
  deallocate(memory);
  check_refused(memory, "a second time");
  CHECK(number_of(other) != 0);
  deallocate(other);
  check_refused(other, "a second time");
}

RINGSIDE_TEST(allocate, leaves_nothing_behind) {
  deallocate(allocate(1));
  const tools::Resources before = tools::resources_held(true);
  std::vector<void*> all;
  for (std::size_t i = 0; i < 100; ++i) all.push_back(allocate(i * 1000));
  const tools::Resources held = tools::resources_held(true);
  CHECK_EQ(held.descriptors, before.descriptors + 100);
  CHECK_EQ(held.windows, before.windows + 100);
  for (std::size_t i = 0; i < 100; ++i) deallocate(all[i * 37 % 100]);
  check_nothing_kept(t, before);
}

// A reader keeps what it has mapped until it needs another mapping; that must not keep the memory.
RINGSIDE_TEST(allocate, memory_is_free_at_once_though_it_is_mapped) {
  constexpr std::size_t kBytes = std::size_t{8} << 20;
  std::byte* memory = allocate_bytes(kBytes);
  std::memset(memory, 1, kBytes);
  Allocations& table = Allocations::of_this_process();
  const std::uint64_t number = number_of(memory);
  const UniqueFd fd = table.descriptor(number);
  const std::shared_ptr<Mapping> reader =
      map_sealed_memory(fd.get(), Access::read, 0, Deadline::never());
  const std::shared_ptr<Mapping> thread = table.mapping(number);
  CHECK(bytes_behind(fd) >= kBytes);
  CHECK(!was_given_back(*reader));
  deallocate(memory);
  CHECK_MSG(bytes_behind(fd) <= kPageBytes, "%zu bytes are still held", bytes_behind(fd));
  // The reader sees that it was given back. To read on is pointless, and no fault.
  CHECK(was_given_back(*reader) && was_given_back(*thread));
  CHECK(all_zero(reader->at(), kBytes));
  CHECK(all_zero(thread->at(), kBytes));
}

// Addresses come again, numbers do not.
RINGSIDE_TEST(allocate, numbers_are_never_used_again) {
  std::set<std::uint64_t> numbers;
  std::set<const void*> addresses;
  std::uint64_t last = 0;
  for (int i = 0; i < 300; ++i) {
    void* memory = allocate(4096);
    const std::uint64_t number = number_of(memory);
    CHECK_MSG(number > last, "%llu after %llu", static_cast<unsigned long long>(number),
              static_cast<unsigned long long>(last));
    last = number;
    numbers.insert(number);
    addresses.insert(memory);
    deallocate(memory);
  }
  CHECK_EQ(numbers.size(), 300u);
  // Otherwise there was nothing to confuse. (The sanitizers' allocators do not come into it.)
  CHECK(addresses.size() < 300);
}

RINGSIDE_TEST(allocate, any_thread_may_take_and_give_back) {
  constexpr int kThreads = 6;
  const int rounds = kUnderTsan ? 60 : 300;
  std::atomic<int> wrong{0};
  std::vector<std::atomic<void*>> handed_on(kThreads);
  std::vector<std::thread> threads;
  for (int mine = 0; mine < kThreads; ++mine)
    threads.emplace_back([&, mine] {
      Allocations& table = Allocations::of_this_process();
      for (int round = 0; round < rounds; ++round) {
        const std::size_t bytes = static_cast<std::size_t>(1 + (mine * 7919 + round * 977) % 9000);
        std::byte* memory = allocate_bytes(bytes);
        wrong += !all_zero(memory, bytes);
        std::memset(memory, mine + 1, bytes);
        const Exposable it = table.find(memory + bytes - 1);
        const std::shared_ptr<Mapping> reader = table.mapping(it.from.allocation);
        wrong += it.from.offset_bytes != bytes - 1 || reader == nullptr ||
                 reader->at()[bytes - 1] != static_cast<std::byte>(mine + 1);
        // Another thread gives back what this one took.
        deallocate(handed_on[static_cast<std::size_t>((mine + 1) % kThreads)].exchange(memory));
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(wrong.load(), 0);
  for (std::atomic<void*>& it : handed_on) deallocate(it.load());
}

// A program's own objects may outlive main, and give back what they hold as they go.
RINGSIDE_TEST(allocate, gives_back_while_a_program_ends) {
  const RunResult result = run({program_path("tests/programs/owner"), "at-exit"});
  CHECK_MSG(result.exit_code == 0 && result.err.empty(), "exit status %d, signal %d: %s",
            result.exit_code, result.signal, result.err.c_str());
}

// Where pages cannot be made in advance through the mapping, they are made by the file.
RINGSIDE_TEST(allocate, does_without_the_newest_system_calls) {
  const RunResult result = run({program_path("tests/programs/owner"), "no-populate"});
  if (result.exit_code == 77) SKIP("system calls cannot be forbidden here (seccomp)");
  CHECK_MSG(result.ok() && result.out == "rank 0: 1\n", "%d: %s", result.exit_code,
            result.err.c_str());
}
