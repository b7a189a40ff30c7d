// Ranks of which each forks children in the middle of its work, and goes on with it:
// tests/errors/lifetime.cc starts them.
//
// What a child may not do it must be told, at once; and none may be noticed by another rank. A
// child says by its exit status what was wrong, and its rank then ends with 1.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "comm/allocate.h"
#include "comm/bootstrap/start.h"
#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/support/test.h"

namespace {

using namespace ringside;

constexpr std::size_t kCount = 100'000;
constexpr DType kF32 = DType::f32;

// A child that leaves by exit() destroys them, too.
std::unique_ptr<Bootstrap> bootstrap;
std::optional<Communicator> communicator;

// Whether the child that runs `body` ends with the status that this returns, in time.
template <class Body>
bool child_ends_well(const char* name, const Body& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    std::exit(body());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  if (status != 0) std::fprintf(stderr, "the child that %s ends with %#x\n", name, status);
  return status == 0;
}

template <class Call>
bool refused(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.fault() == Fault::usage;
  }
  return false;
}

// The number of the first call that is not refused, 0 if there is none.
int try_calls(Work& pending) {
  Communicator& comm = *communicator;
  std::vector<float> a(8, 1), b(8);
  const int other = 1 - comm.rank();
  int number = 0, wrong = 0;
  const auto attempt = [&](const auto& call) {
    ++number;
    if (!refused(call) && wrong == 0) wrong = number;
  };
  attempt([&] { comm.all_reduce(a.data(), b.data(), 4, kF32, Reduction::sum); });
  attempt([&] { comm.all_reduce_async(a.data(), b.data(), 4, kF32, Reduction::sum); });
  attempt([&] { comm.all_reduce_on(nullptr, a.data(), b.data(), 4, kF32, Reduction::sum); });
  attempt([&] { comm.barrier(); });
  attempt([&] { comm.send(a.data(), 4, kF32, other); });
  attempt([&] { comm.recv(a.data(), 4, kF32, other); });
  attempt([&] { comm.exchange({}); });
  attempt([&] { comm.split(0, 0); });
  attempt([&] { comm.abort("a child's reason"); });
  attempt([&] { comm.write_flight("/tmp"); });
  attempt([&] { pending.wait(); });
  attempt([&] { pending.test(); });
  attempt([&] { Communicator another(*bootstrap); });
  attempt([&] {
    if (comm.broken()) throw Error(Fault::usage, *comm.broken());
  });
  return wrong;
}

// What a child may do: live in a world of its own.
int use_its_own() {
  double sums[2] = {};
  run_as_threads(2, [&](Bootstrap& own) {
    Communicator comm(own);
    auto* memory = static_cast<double*>(allocate(sizeof(double)));
    *memory = comm.rank() + 1;
    comm.all_reduce(memory, memory, 1, DType::f64, Reduction::sum);
    sums[comm.rank()] = *memory;
    deallocate(memory);
  });
  return sums[0] == 3 && sums[1] == 3 ? 0 : 1;
}

bool has_sum(float* values) {
  communicator->all_reduce(values, values, kCount, kF32, Reduction::sum);
  return values[0] == 3 && values[kCount - 1] == 3;
}

int run() {
  bootstrap = start_bootstrap();
  communicator.emplace(*bootstrap);
  const int rank = communicator->rank();
  auto* shared = static_cast<float*>(allocate(kCount * sizeof(float)));
  std::vector<float> message(8, 1);
  const auto fill = [&] { std::fill_n(shared, kCount, static_cast<float>(rank + 1)); };
  fill();
  bool well = has_sum(shared);
  fill();
  Work pending = rank == 0 ? communicator->send_async(message.data(), 8, kF32, 1)
                           : communicator->recv_async(message.data(), 8, kF32, 0);
  well &= child_ends_well("exits", [] { return 0; });
  well &= child_ends_well("gives back its parent's memory", [&] {
    deallocate(shared);
    return shared[1] == static_cast<float>(rank + 1) ? 0 : 1;
  });
  well &= child_ends_well("calls", [&] { return try_calls(pending); });
  well &= child_ends_well("gets a signal", [] { return ::raise(SIGUSR1); });
  // ThreadSanitizer allows no threads in a child of a program that has some.
  if (!test::kUnderTsan) well &= child_ends_well("makes its own", [] { return use_its_own(); });
  pending.wait();
  well &= has_sum(shared);
  bootstrap->barrier(Deadline::after_seconds(20));
  deallocate(shared);
  std::printf("rank %d: %s\n", rank, well ? "well" : "not well");
  return well ? 0 : 1;
}

}  // namespace

int main(int, char**) {
  try {
    return run();
  } catch (const Error& error) {
    std::fprintf(stderr, "forker: %s\n", error.what());
    return 1;
  }
}
