// Buffers of a device for a call on the host: read into the host's memory before, written back
// after. What the host executor makes of them is what it makes of any memory, so the bits are the
// same; it is the way that always goes, and the slowest.
#pragma once

#include <cstddef>
#include <vector>

#include "comm/device/device.h"
#include "comm/host/plan.h"
#include "comm/message.h"

namespace ringside {

class Staging {
 public:
  explicit Staging(Device& device) : device_(&device) {}

  // Puts the host's memory in the place of those buffers that are the device's.
  void stage(Plan& plan);
  void stage(std::vector<Message>& messages);

  // The call has ended well: what it has brought goes to the device.
  void write_back();

 private:
  std::byte* staged(const void* address, std::size_t bytes, bool reads, bool writes);

  struct Copy {
    void* there;
    std::vector<std::byte> here;
    bool writes;
  };
  Device* device_;
  std::vector<Copy> copies_;
};

}  // namespace ringside
