// A mutant for ThreadSanitizer, run by tests/collectives/mutants.cc: a message whose
// signal is stored with memory_order_relaxed in place of release.
//
//     writer: put the data ─▶ store the signal          reader: wait for the signal ─▶ read the
//     data
//
// On x86 the two stores become visible in order whatever the program says, so no test of values can
// see the mistake there; a compiler, or another processor, may exchange them. ThreadSanitizer sees
// that nothing orders the reader's loads after the writer's stores, and reports a data race.
//
//   relaxed_release relaxed    the mistake
//   relaxed_release release    the same program with the window's own signal
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "comm/transport/shm/shm.h"

int main(int argc, char** argv) {
  using namespace ringside;
  const bool relaxed = argc == 2 && std::strcmp(argv[1], "relaxed") == 0;
  if (!relaxed && !(argc == 2 && std::strcmp(argv[1], "release") == 0)) {
    std::fprintf(stderr, "usage: %s relaxed|release\n", argv[0]);
    return 2;
  }
  constexpr std::size_t kBytes = 4096;
  ShmTransport transport(draw_secret(), {.serve = false, .share_in_process = true});
  const auto window = transport.expose(kBytes, 1);
  const auto peer = transport.open(0, window->handle(), Deadline::never());
  std::thread writer([&] {
    const std::vector<std::byte> source(kBytes, std::byte{1});
    peer->put(0, source.data(), kBytes);
    if (relaxed)
      window->cell(0).bits.store(pack({1, 1}), std::memory_order_relaxed);
    else
      peer->signal(0, {1, 1});
  });
  while (window->cell(0).acquire().sequence != 1) std::this_thread::yield();
  unsigned sum = 0;
  for (std::size_t i = 0; i < kBytes; ++i) sum += static_cast<unsigned>(window->data()[i]);
  writer.join();
  std::printf("%u\n", sum);
  return sum == kBytes ? 0 : 1;
}
