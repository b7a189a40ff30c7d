// One message of a batch (Communicator::exchange): what goes to, or comes from, one other rank.
#pragma once

#include <cstddef>

#include "kernels/dtype.h"

namespace ringside {

struct Message {
  // `count` elements to, or from, rank `peer`. Both ends give the same count and type.
  static Message to(int peer, const void* buffer, std::size_t count, DType dtype) {
    return {true, peer, buffer, nullptr, count, dtype};
  }
  static Message from(int peer, void* buffer, std::size_t count, DType dtype) {
    return {false, peer, nullptr, buffer, count, dtype};
  }

  bool is_send;
  int peer;
  const void* source;  // of a send
  void* target;        // of a receive
  std::size_t count;
  DType dtype;

  const void* buffer() const { return is_send ? source : target; }
};

}  // namespace ringside
