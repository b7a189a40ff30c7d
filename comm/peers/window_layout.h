// Where everything lies in a rank's window: arithmetic on (options, number of ranks) alone, so the
// same on all ranks, and in each of a rank's windows whatever its transport.
//
//     cells:  alarm │ credit from the right │ ring slots' │ each pair: credit, slots' cells
//     data:   status page                   │ ring slots  │ each pair: slots
#pragma once

#include <cstddef>

#include "comm/transport/channel.h"

namespace ringside {

// What the channels between each ordered pair of ranks are for.
enum class Use { messages, mesh };  // send and recv; collectives off the ring
inline constexpr int kUses = 2;

struct WindowLayout {
  int size = 0;
  ChannelShape ring;
  ChannelShape pair;

  static WindowLayout make(int size, std::size_t slot_bytes, int slot_count);

  static constexpr int kAlarmCell = 0;
  static constexpr int kRingCreditCell = 1;
  ChannelPlace ring_place() const;
  int pair_credit_cell(Use use, int peer) const;
  ChannelPlace pair_place(Use use, int peer) const;
  // Whether credit comes back in this cell, and no message.
  bool is_credit_cell(int cell) const;
  // One past the last pair is where a further one would begin.
  int total_cells() const { return pair_credit_cell(Use::mesh, size); }
  std::size_t total_bytes() const { return pair_place(Use::mesh, size).first_byte; }
};

}  // namespace ringside
