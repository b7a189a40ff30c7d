// The device executor: the algorithm *is* the kernel. Each block of threads runs it on an executor
// of its own, and the primitives are loads, stores and flags on memory of the peers.
//
//     all_reduce(executor, ring)        ring.h, the same function that the host executor runs
//       └ executor.exchange_reduce(…)   leader: waits for room; all threads: copy; leader: signals
//                                       leader: waits for the flag; all threads: reduce; credit
//
// What is different from the host executor, and why
//   Order.          A step sends first and receives then, and waits for room in between. With one
//                   slot that could deadlock; with two it cannot: message m needs m − 2 to have
//                   been consumed, whose receiver waited for message m − 1 at most, and so on down
//                   to the first one (step.h's order next_half_in_order; the prover's rule
//                   `in_order` proves it).
//   Partial sums.   They are always computed straight into the slot of the peer that they go on to.
//                   There is no scratch memory for them, and nothing is copied twice.
//   Zero-copy.      Where a peer can load this rank's memory (threads of one process; GPUs with
//                   peer access) a large piece is not copied but exposed, as in allocate.h.
//                   Nothing has to be allocated in a special way for it.
//   reduce_input.   The one-shot adds contribution after contribution; the executor notes where
//                   they are, and adds them all in one pass when the last one is named.
//
// What runs it is a template argument. On a GPU (comm/device/cuda/gpu_block.h) one thread, the
// *leader*, does what must be done once, and all others follow; on a CPU
// (tests/device/cpu_device.cc) one thread does the work of all of them. So everything but the
// hardware's own promises is tested where there is no GPU: slots, flags, credit, order, cutting,
// and the ends of waits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/ring.h"
#include "comm/algorithms/run.h"
#include "comm/device/kernel/args.h"
#include "comm/device/kernel/block.h"
#include "comm/device/kernel/flag.h"
#include "comm/transport/credit.h"
#include "comm/transport/signal.h"
#include "kernels/cuda/fold.h"

namespace ringside {

template <class Block>
class DeviceExecutor {
 public:
  RINGSIDE_HD DeviceExecutor(const DeviceCall& call, Block& block) : call_(call), block_(block) {}

  static constexpr bool kWithoutGroups = true;  // run.h
  // Of this block: every count-th one, beginning with its own number.
  RINGSIDE_HD std::size_t slices() const {
    const std::size_t first = block_.index(), each = block_.count();
    return call_.slices > first ? (call_.slices - first + each - 1) / each : 0;
  }

  RINGSIDE_HD void exchange_reduce(Peer to, Piece send, Peer from, Piece receive, std::size_t slice,
                                   Place own = Place::input) {
    put(to.rank, send, slice);
    take(to.rank, from.rank, receive, slice, true, own);
  }
  RINGSIDE_HD void exchange(Peer to, Piece send, Peer from, Piece receive, std::size_t slice) {
    put(to.rank, send, slice);
    take(to.rank, from.rank, receive, slice, false);
  }
  RINGSIDE_HD void send(Peer to, Piece piece, std::size_t slice) { put(to.rank, piece, slice); }
  RINGSIDE_HD void receive(Peer from, Piece piece, std::size_t slice) {
    take(-1, from.rank, piece, slice, false);
  }
  RINGSIDE_HD void post_op(Piece piece, std::size_t slice);
  RINGSIDE_HD void copy_input(int chunk, std::size_t slice);

  // The primitives of one_shot.h, for this block's share of each chunk, and of two_shot.h.
  RINGSIDE_HD void send_input(int peer);
  RINGSIDE_HD void wait_input(int rank, int chunk = kWholeInput, std::size_t slice = 0);
  RINGSIDE_HD void reduce_input(int chunk, int from, int order, std::size_t slice = 0);
  RINGSIDE_HD void release_inputs(std::size_t slice = 0);

  // The end of a call: waits until everything that was exposed has been read.
  RINGSIDE_HD void wait_reads();

 private:
  // What can be read of another rank's input: all of it where it is, its block's shares of the
  // chunks one after the other, or the one piece that was waited for.
  enum class Seen : unsigned char { whole, shares, piece };
  struct View {
    const unsigned char* at = nullptr;
    Seen what = Seen::whole;
  };

  RINGSIDE_HD_CALL void put(int peer, Piece piece, std::size_t slice);
  RINGSIDE_HD_CALL void take(int to, int from, Piece piece, std::size_t slice, bool reduces,
                             Place own = Place::input);

  RINGSIDE_HD LeaderResult room(int peer);
  RINGSIDE_HD void publish(int peer, const unsigned char* ref);
  RINGSIDE_HD LeaderResult arrived(int peer);
  RINGSIDE_HD void release(int peer);
  template <class Ready>
  RINGSIDE_HD bool wait(int peer, const Ready& ready);
  RINGSIDE_HD std::uint32_t credit(int peer) const;
  RINGSIDE_HD void copy(unsigned char* to, const unsigned char* from, std::size_t bytes);

  RINGSIDE_HD int block() const { return static_cast<int>(block_.index()); }
  RINGSIDE_HD bool exposes_to(int peer, std::size_t bytes) const {
    return bytes >= call_.zero_copy_from_bytes && (call_.readers >> peer & 1) != 0;
  }

  RINGSIDE_HD Range range(int chunk, std::size_t slice) const {
    const std::size_t begin = call_.chunk_begin[chunk], end = call_.chunk_begin[chunk + 1];
    const std::size_t first = (block_.index() + slice * block_.count()) * call_.slice_count;
    const std::size_t from = begin + first < end ? begin + first : end;
    return {from, end - from < call_.slice_count ? end - from : call_.slice_count};
  }
  RINGSIDE_HD std::size_t bytes_of_range(Range r) const { return r.count * call_.element_bytes; }
  RINGSIDE_HD const unsigned char* input_at(Range r) const {
    return call_.input + (r.begin - call_.input_first) * call_.element_bytes;
  }
  RINGSIDE_HD unsigned char* output_at(Range r) const {
    return call_.output + (r.begin - call_.output_first) * call_.element_bytes;
  }
  RINGSIDE_HD unsigned char* scratch() const {
    return call_.scratch + block_.index() * call_.layout.slot_bytes;
  }
  RINGSIDE_HD unsigned char* place_of(Piece piece, Range r) const {
    return piece.place == Place::scratch ? scratch() : output_at(r);
  }

  const DeviceCall& call_;
  Block& block_;
  // The same in all threads, as all of them run this code. What is about zero-copy messages is the
  // leader's.
  View views_[kMostDeviceRanks] = {};
  const unsigned char* sources_[kMostDeviceRanks] = {};
  std::uint32_t last_exposed_[kMostDeviceRanks] = {};  // the number of the newest to each peer
  std::uint32_t has_exposed_ = 0;                      // a bit for each peer
  unsigned step_ = 0;
  bool broken_ = false;
};

// --- one message out ---

template <class Block>
RINGSIDE_HD_CALL void DeviceExecutor<Block>::put(int peer, Piece piece, std::size_t slice) {
  ++step_;
  if (broken_) return;
  if (piece.place == Place::partial) return publish(peer, nullptr);  // take() has put it there
  const Range r = range(piece.chunk, slice);
  const unsigned char* source = piece.place == Place::input ? input_at(r) : place_of(piece, r);
  const std::size_t bytes = bytes_of_range(r);
  const LeaderResult slot = room(peer);
  if (broken_) return;
  const bool exposes = piece.place != Place::scratch && exposes_to(peer, bytes);
  // (A piece that no slot holds is exposed: DeviceGroup::exposes_all_of sees to that.)
  if (!exposes) copy(const_cast<unsigned char*>(slot.at), source, bytes);
  publish(peer, exposes ? source : nullptr);
}

// Waits until the next message to `peer` may be written; where to.
template <class Block>
RINGSIDE_HD LeaderResult DeviceExecutor<Block>::room(int peer) {
  const LeaderResult result = block_.broadcast([&]() -> LeaderResult {
    const DeviceLayout& layout = call_.layout;
    const std::uint32_t sent = block_.progress(peer).sent;
    if (!wait(peer, [&] { return may_send(sent, credit(peer), layout.slots); })) return {};
    const int slot = slot_of(sent + 1, layout.slots);
    return {call_.of[peer].data + layout.byte(block(), call_.rank, slot), true};
  });
  broken_ = !result.ok;
  return result;
}

// How many messages the peer has consumed.
template <class Block>
RINGSIDE_HD std::uint32_t DeviceExecutor<Block>::credit(int peer) const {
  const DeviceCell& cell = call_.own.cells[call_.layout.credit_cell(block(), peer)];
  return device_sequence(load_acquire(&cell.bits));
}

// Sends what the threads have put into room()'s slot; or, not null, what is at `ref`.
template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::publish(int peer, const unsigned char* ref) {
  block_.leader([&] {
    const DeviceLayout& layout = call_.layout;
    const std::uint32_t message = ++block_.progress(peer).sent;
    const int slot = slot_of(message, layout.slots);
    DeviceCell& cell = call_.of[peer].cells[layout.cell(block(), call_.rank, slot)];
    if (ref != nullptr) {
      cell.ref = ref;
      last_exposed_[peer] = message;
      has_exposed_ |= std::uint32_t{1} << peer;
    }
    store_release(&cell.bits,
                  device_signal(message, call_.fingerprint | (ref != nullptr ? kZeroCopyBit : 0)));
  });
}

// --- one message in ---

template <class Block>
RINGSIDE_HD_CALL void DeviceExecutor<Block>::take(int to, int from, Piece piece, std::size_t slice,
                                                  bool reduces, Place own) {
  if (broken_) return;
  const Range r = range(piece.chunk, slice);
  unsigned char* target = nullptr;
  if (piece.place == Place::partial) {
    target = const_cast<unsigned char*>(room(to).at);
    if (broken_) return;
  } else {
    target = place_of(piece, r);
  }
  const LeaderResult message = arrived(from);
  if (broken_) return;
  if (reduces) {
    sources_[0] = message.at;
    sources_[1] = own == Place::input ? input_at(r) : output_at(r);
    block_.together([&](unsigned thread, unsigned threads) {
      cuda::fold(call_.dtype, call_.reduction, {target, sources_, 2, r.count}, thread, threads);
    });
  } else {
    copy(target, message.at, bytes_of_range(r));
  }
  release(from);
}

// Waits for the next message of `peer`; where it is.
template <class Block>
RINGSIDE_HD LeaderResult DeviceExecutor<Block>::arrived(int peer) {
  const LeaderResult result = block_.broadcast([&]() -> LeaderResult {
    const DeviceLayout& layout = call_.layout;
    const std::uint32_t next = block_.progress(peer).consumed + 1;
    const int slot = slot_of(next, layout.slots);
    const DeviceCell& cell = call_.own.cells[layout.cell(block(), peer, slot)];
    std::uint64_t bits = 0;
    if (!wait(peer, [&] {
          bits = load_acquire(&cell.bits);
          return ahead(device_sequence(bits), next) >= 0;
        }))
      return {};
    const std::uint32_t mark = device_fingerprint(bits);
    if ((mark & ~kZeroCopyBit) != call_.fingerprint || device_sequence(bits) != next) {
      store_release(&call_.error_flags->found,
                    kErrorFound | static_cast<std::uint64_t>(peer) << 32 | (mark & ~kZeroCopyBit));
      store_word(&call_.error_flags->abort, 1);  // this rank's other blocks need not go on
      return {};
    }
    if ((mark & kZeroCopyBit) != 0) return {cell.ref, true, true};
    return {call_.own.data + layout.byte(block(), peer, slot), true};
  });
  broken_ = !result.ok;
  return result;
}

// The message has been read; its slot may be written again. (There are two slots, of which each
// returns its credit: credit.h.)
template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::release(int peer) {
  block_.leader([&] {
    const std::uint32_t consumed = ++block_.progress(peer).consumed;
    DeviceCell& cell = call_.of[peer].cells[call_.layout.credit_cell(block(), call_.rank)];
    store_release(&cell.bits, device_signal(consumed, call_.fingerprint));
  });
}

// The leader's. The host's abort flag is far away (over the bus), so it is read rarely; and only a
// wait that lasts is reported.
template <class Block>
template <class Ready>
RINGSIDE_HD bool DeviceExecutor<Block>::wait(int peer, const Ready& ready) {
  constexpr int kReads = 1024;
  for (int round = 0;; ++round) {
    for (int read = 0; read < kReads; ++read) {
      if (ready()) {
        if (round > 0 && block_.index() == 0) store_release(&call_.error_flags->waits_for, 0);
        return true;
      }
      block_.relax();
    }
    if (load_word(&call_.error_flags->abort) != 0) return false;
    if (round == 0 && block_.index() == 0)
      store_release(&call_.error_flags->waits_for,
                    std::uint64_t{step_} << 32 | static_cast<std::uint32_t>(peer + 1));
  }
}

// --- what needs no peer ---

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::copy(unsigned char* to, const unsigned char* from,
                                             std::size_t bytes) {
  if (to == from || bytes == 0) return;
  block_.together([&](unsigned thread, unsigned threads) {
    cuda::fold_copy({to, &from, 1, bytes}, thread, threads);
  });
}

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::post_op(Piece piece, std::size_t slice) {
  if (broken_ || call_.divisor == 0) return;
  const Range r = range(piece.chunk, slice);
  unsigned char* at = place_of(piece, r);
  const unsigned char* from = at;
  block_.together([&](unsigned thread, unsigned threads) {
    cuda::fold_divide(call_.dtype, {at, &from, 1, r.count}, call_.divisor, thread, threads);
  });
}

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::copy_input(int chunk, std::size_t slice) {
  const Range r = range(chunk, slice);
  copy(output_at(r), input_at(r), bytes_of_range(r));
}

// --- one-shot ---

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::send_input(int peer) {
  ++step_;
  if (broken_) return;
  const LeaderResult slot = room(peer);
  if (broken_) return;
  // In place the first sums cover the input while others may still read it.
  if (call_.input != call_.output &&
      exposes_to(peer, call_.chunk_begin[call_.chunks] * call_.element_bytes))
    return publish(peer, call_.input);
  for (int chunk = 0; chunk < call_.chunks; ++chunk) {
    const Range r = range(chunk, 0);
    copy(const_cast<unsigned char*>(slot.at) +
             static_cast<std::size_t>(chunk) * call_.slice_count * call_.element_bytes,
         input_at(r), bytes_of_range(r));
  }
  publish(peer, nullptr);
}

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::wait_input(int rank, int chunk, std::size_t) {
  if (broken_) return;
  if (rank == call_.rank) {
    views_[rank] = {call_.input - call_.input_first * call_.element_bytes, Seen::whole};
    return;
  }
  const LeaderResult message = arrived(rank);
  if (broken_) return;
  const Seen seen = chunk != kWholeInput   ? Seen::piece
                    : message.is_zero_copy ? Seen::whole
                                           : Seen::shares;
  views_[rank] = {message.at, seen};
}

// All contributions in one pass, when the last one is known. In place that is what makes it right,
// too: an element is read from all before it is written.
template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::reduce_input(int chunk, int from, int order,
                                                     std::size_t slice) {
  if (broken_) return;
  const Range r = range(chunk, slice);
  const View& view = views_[from];
  std::size_t first = 0;
  if (view.what == Seen::whole) first = r.begin;
  if (view.what == Seen::shares) first = static_cast<std::size_t>(chunk) * call_.slice_count;
  sources_[order - 1] = view.at + first * call_.element_bytes;
  if (order < call_.size) return;
  unsigned char* target = output_at(r);
  block_.together([&](unsigned thread, unsigned threads) {
    cuda::fold(call_.dtype, call_.reduction, {target, sources_, order, r.count}, thread, threads);
  });
}

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::release_inputs(std::size_t) {
  for (int peer = 0; peer < call_.size && !broken_; ++peer)
    if (peer != call_.rank) release(peer);
}

template <class Block>
RINGSIDE_HD void DeviceExecutor<Block>::wait_reads() {
  if (broken_) return;
  block_.leader([&] {
    for (int peer = 0; peer < call_.size; ++peer)
      if ((has_exposed_ >> peer & 1) != 0 &&
          !wait(peer, [&] { return ahead(credit(peer), last_exposed_[peer]) >= 0; }))
        return;
  });
}

// A whole call, for one block.
template <class Block>
RINGSIDE_HD void carry_out(const DeviceCall& call, Block& block) {
  DeviceExecutor<Block> executor(call, block);
  const Ring ring{call.rank, call.size};
  run_algorithm(call.kind, call.algorithm, executor, ring, call.root);
  executor.wait_reads();
}

}  // namespace ringside
