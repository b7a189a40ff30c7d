// Messages between pairs of ranks: send, recv, and batches of both.
//
// A batch makes progress on all of its messages at once, so neighbours that both send and both
// receive never wait for each other, whatever the sizes:
//
//     rank 0:  to 1, from 1        rank 1:  to 0, from 0
//
// Messages of one direction between the same two ranks stay in order. A single send or recv is a
// batch of one: there is one text for all. What lies in memory that the receiver can read is lent,
// slice by slice (transport.h), and the batch ends when it has been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/board.h"
#include "comm/host_lane.h"
#include "comm/message.h"
#include "comm/peers.h"
#include "comm/waiter.h"

namespace ringside {

class MessageBatch {
 public:
  // `numbers_from`: the number of this rank's call that the first message is.
  MessageBatch(const std::vector<Message>& messages, std::uint64_t numbers_from, Edges& edges,
               Peers& peers, Waiter& waiter, std::size_t lend_from_bytes);

  // Notes every message on the board, carries them out, and returns when all are done.
  void run();

 private:
  struct Transfer {
    Message message;
    Call call;
    std::size_t slice_count;  // elements a slot
    std::size_t slices;
    Lendable lendable;     // of its source
    std::size_t done = 0;  // slices
    bool finished() const { return done == slices; }
  };

  bool advance_all();
  bool advance(Transfer& transfer);
  bool send_slice(Transfer& transfer);
  bool receive_slice(Transfer& transfer);
  void settle();
  const Transfer* first_unfinished() const;
  std::string where(const Transfer& transfer) const;

  std::vector<Transfer> transfers_;
  Edges& edges_;
  Peers& peers_;
  Waiter& waiter_;
};

}  // namespace ringside
