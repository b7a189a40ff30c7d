// A rank whose buffers are in the memory of a GPU; all ranks of a host share the first one.
// tests/cuda/test_gpu_processes.cc starts it by tools/launch.
//
//   ok                     calls of every kind, held to the oracle; prints `executor NAME: WHY`
//   loop [--ready FILE]    all_reduces until it is killed; FILE appears once they run
//   die                    rank 1 is killed while the others' calls wait for it on the GPU
//
// An Error is printed to stderr as `rank R: SENTENCE`, and the exit status is then 1; 3 if there is
// no GPU.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "comm/bootstrap/start.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "kernels/cuda/launch.h"
#include "tests/collectives/collective_case.h"
#include "tests/cuda/gpu_rig.h"
#include "tests/device/rig.h"

namespace {

using namespace ringside;

constexpr int kVictim = 1;
constexpr useconds_t kUntilTheOthersWait_us = 300'000;

void ok(Communicator& comm, test::GpuMemory& memory) {
  test::RankMemory buffers(test::Exposing::nothing, &memory);
  for (const test::Case& it : test::cases_for_all(comm.size(), {0, 7, 1003, 30'011})) {
    const std::string wrong = perform(comm, it, test::expect(it, comm.size()), buffers);
    if (!wrong.empty())
      throw Error(Fault::protocol, text("%s: %s", describe(it).c_str(), wrong.c_str()));
  }
  comm.barrier();
  const ExecutorInUse executor = comm.device_executor();
  if (comm.rank() == 0) std::printf("executor %s: %s\n", executor.name, executor.why.c_str());
}

void all_reduce(Communicator& comm, test::GpuMemory& memory) {
  constexpr std::size_t kCount = 200'001;
  std::byte* const values = memory.room(0, kCount * sizeof(float));
  comm.all_reduce(values, values, kCount, DType::f32, Reduction::max);
}

void loop(Communicator& comm, test::GpuMemory& memory, const char* ready) {
  for (int call = 0;; ++call) {
    all_reduce(comm, memory);
    if (call != 3 || comm.rank() != 0 || ready == nullptr) continue;
    if (std::FILE* const file = std::fopen(ready, "w")) std::fclose(file);
  }
}

void die(Communicator& comm, test::GpuMemory& memory) {
  for (int call = 0; call < 3; ++call) all_reduce(comm, memory);
  if (comm.rank() == kVictim) {
    ::usleep(kUntilTheOthersWait_us);
    ::raise(SIGKILL);
  }
  all_reduce(comm, memory);
}

int run(const std::string& mode, const char* ready) {
  const std::unique_ptr<Bootstrap> bootstrap = start_bootstrap(nullptr);
  try {
    test::make_gpu_current();
    test::GpuMemory memory;
    Communicator comm(*bootstrap);
    if (mode == "ok") {
      ok(comm, memory);
    } else if (mode == "loop") {
      loop(comm, memory, ready);
    } else if (mode == "die") {
      die(comm, memory);
    } else {
      throw Error(Fault::usage, text("there is no mode '%s'", mode.c_str()));
    }
    return 0;
  } catch (const Error& error) {
    // One write, so that the lines of several ranks do not mix.
    const std::string line = text("rank %d: %s\n", bootstrap->rank(), error.what());
    std::fwrite(line.data(), 1, line.size(), stderr);
    bootstrap->abandon();
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string why = cuda::why_no_device();
  if (!why.empty()) {
    std::fprintf(stderr, "rank_cuda: %s\n", why.c_str());
    return 3;
  }
  try {
    const bool has_ready = argc > 3 && std::strcmp(argv[2], "--ready") == 0;
    return run(argc > 1 ? argv[1] : "ok", has_ready ? argv[3] : nullptr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank_cuda: %s\n", error.what());
    return 2;
  }
}
