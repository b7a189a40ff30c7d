// Windows in device memory, of communicators that are gone. A peer's last credit may still be on
// its way into one, so its memory is freed only when all peers have sent a goodbye: the last thing
// that each of them ever writes there. Nobody waits for that; it is checked whenever a communicator
// is made or ends.
#pragma once

#include <cstddef>
#include <memory>

#include "comm/device/device.h"

namespace ringside {

struct RetiredWindow {
  std::shared_ptr<Device> device;
  unsigned char* window;
  std::size_t goodbye_byte;  // where the peers' goodbyes are, a cell for each rank
  int rank, size;
};

void retire_window(const RetiredWindow& retired);

// Frees what nobody uses any more.
void free_retired_windows();

}  // namespace ringside
