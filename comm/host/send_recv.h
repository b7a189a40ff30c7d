// Messages between pairs of ranks: send, recv, and batches of both.
//
// A batch makes progress on all of its messages at once, so neighbours that both send and both
// receive never wait for each other, whatever the sizes:
//
//     rank 0:  to 1, from 1        rank 1:  to 0, from 0
//
// Messages of one direction between the same two ranks stay in order. A single send or recv is a
// batch of one: there is one text for all. What lies in memory that the receiver can read is
// exposed, slice by slice (transport.h), and the batch ends when it has been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/control/status.h"
#include "comm/host/choice.h"
#include "comm/host/executor.h"
#include "comm/host/waiter.h"
#include "comm/message.h"
#include "comm/peers/peers.h"

namespace ringside {

// A message, and how far it has come.
struct Transfer {
  Message message;
  Call call;
  std::size_t slice_count;  // elements a slot
  std::size_t slices;
  Exposable exposable;   // of its source
  bool streams = false;  // its target is larger than the caches: past those
  std::size_t done = 0;  // slices
  bool finished() const { return done == slices; }
};

// Refuses what makes no sense with Error{usage}, and gives back what it was given.
const Message& checked(const Ring& self, const Message& message);
const std::vector<Message>& checked(const Ring& self, const std::vector<Message>& messages);

class MessageBatch {
 public:
  // `numbers_from`: the number of this rank's call that the first message is. `transfers` is memory
  // for the batch, kept by the caller from one to the next: a short message takes less time than an
  // allocation.
  MessageBatch(std::span<const Message> messages, std::uint64_t numbers_from, Edges& edges,
               Peers& peers, Waiter& waiter, const HostSettings& settings,
               std::vector<Transfer>& transfers);

  // Notes every message on the status page, carries them out, and returns when all are done.
  void run();

 private:
  bool advance_all();
  bool advance(Transfer& transfer);
  bool send_slice(Transfer& transfer);
  bool receive_slice(Transfer& transfer);
  void wait_reads();
  const Transfer* first_unfinished() const;
  std::string where(const Transfer& transfer) const;

  std::vector<Transfer>& transfers_;
  Edges& edges_;
  Peers& peers_;
  Waiter& waiter_;
};

}  // namespace ringside
