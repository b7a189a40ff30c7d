// Transport `shm`: a window is a stretch of shared memory, and a peer's window is the same memory,
// mapped.
//
//     memfd (anonymous file) ── mapped by its owner: Window ── mapped by each peer: PeerWindow
//
// put is a copy, signal is one releasing store, and wait is a loop of acquiring loads: on the way
// of a message there is no system call, no lock and no copy in the kernel.
//
// The memory is a sealed, anonymous file (sealed_memory.h), with room in it for the windows of
// groups (window_file.h); peers get the descriptor from fd_server.h. Ranks that are threads of one
// process share the mapping itself: its number in the process travels in the handle. That is faster
// to set up, and lets ThreadSanitizer see both ends of every message, which it cannot where two
// addresses mean one byte.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "comm/transport/shm/fd_server.h"
#include "comm/transport/transport.h"
#include "comm/util/secret.h"

namespace ringside {

struct ShmOptions {
  // Serve descriptors to other processes. Off when every rank is a thread of this one.
  bool serve = true;
  // Let threads of one process share the mapping. Off in tests that want the way through the
  // socket.
  bool share_in_process = true;
};

class ShmTransport : public Transport {
 public:
  explicit ShmTransport(const Secret& secret, ShmOptions options = {});

  // Shares the memory file, its server and what is mapped of the peers' (window_file.h).
  std::unique_ptr<Transport> for_group() override;

  const char* name() const override { return "shm"; }
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count,
                                 Deadline deadline = Deadline::never()) override;
  std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle,
                                   Deadline deadline) override;

 private:
  struct Endpoint;
  explicit ShmTransport(std::shared_ptr<Endpoint> endpoint) : endpoint_(std::move(endpoint)) {}

  std::shared_ptr<Endpoint> endpoint_;
};

}  // namespace ringside
