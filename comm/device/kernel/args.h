// A collective as a kernel gets it: plain numbers and addresses, and how ranks' device memory is
// laid out for it.
//
// Every rank has a window in device memory that all others can load from and store to. In it each
// *block* of each peer has a connection of its own to this rank: a few slots, a cell for each, and
// a cell in which credit for the other direction comes back.
//
//     window of rank r    block 0                       block 1                       …
//                         from 0 │ from 1 │ from 2 …    from 0 │ from 1 │ from 2 …
//       cells, each:      slot cells, credit
//       data, each:       slots
//
// Blocks have nothing to do with each other: each carries the call out for its share of the slices,
// together with its peers' blocks of the same number. So n ranks with 16 blocks are 16 independent
// rings, and nowhere does a block wait for another one of its own rank.
#pragma once

#include <cstddef>
#include <cstdint>

#include "comm/algorithms/operation.h"
#include "kernels/dtype.h"
#include "kernels/hd.h"
#include "kernels/reduction.h"

namespace ringside {

// Ranks that share a call on device memory: those of one host.
inline constexpr int kMostDeviceRanks = 16;

// A line of device memory that one peer writes. The sequence is in the upper half here, unlike on
// the host (signal.h), so that the whole number grows with it: a stream can wait for "at least".
struct alignas(64) DeviceCell {
  std::uint64_t bits;
  const unsigned char* ref;  // where the message is, if it is exposed
};

RINGSIDE_HD constexpr std::uint64_t device_signal(std::uint32_t sequence,
                                                  std::uint32_t fingerprint) {
  return std::uint64_t{sequence} << 32 | fingerprint;
}
RINGSIDE_HD constexpr std::uint32_t device_sequence(std::uint64_t bits) {
  return static_cast<std::uint32_t>(bits >> 32);
}
RINGSIDE_HD constexpr std::uint32_t device_fingerprint(std::uint64_t bits) {
  return static_cast<std::uint32_t>(bits);
}

struct DeviceWindow {
  unsigned char* data = nullptr;
  DeviceCell* cells = nullptr;
};

// Where things are in a window: the same on all ranks.
struct DeviceLayout {
  int size = 1;    // ranks
  int blocks = 1;  // at most
  int slots = 2;
  std::size_t slot_bytes = 0;  // a multiple of 64

  RINGSIDE_HD constexpr std::size_t connection(int block, int from) const {
    return static_cast<std::size_t>(block) * static_cast<std::size_t>(size) +
           static_cast<std::size_t>(from);
  }
  RINGSIDE_HD constexpr std::size_t cell(int block, int from, int slot) const {
    return connection(block, from) * static_cast<std::size_t>(slots + 1) +
           static_cast<std::size_t>(slot);
  }
  // Where rank `from` returns credit for what it has been sent.
  RINGSIDE_HD constexpr std::size_t credit_cell(int block, int from) const {
    return cell(block, from, slots);
  }
  RINGSIDE_HD constexpr std::size_t byte(int block, int from, int slot) const {
    return (connection(block, from) * static_cast<std::size_t>(slots) +
            static_cast<std::size_t>(slot)) *
           slot_bytes;
  }
  constexpr std::size_t total_cells() const { return cell(blocks, 0, 0); }
  constexpr std::size_t total_bytes() const { return byte(blocks, 0, 0); }
};

// How far a block has come on the two connections between this rank and a peer. In device memory,
// for the next call; only this rank's block reads and writes it.
struct DeviceProgress {
  std::uint32_t sent = 0;
  std::uint32_t consumed = 0;
};

// Between a kernel and the host that watches it, in memory of the host that both can see.
struct DeviceErrorFlags {
  // The host's: nothing that the kernel waits for will come. It ends at once, whatever it has done.
  std::uint32_t abort = 0;
  // The kernel's: a message was of another call. The lower half is its fingerprint, above is the
  // sender, above that one bit for "there is something here".
  std::uint64_t found = 0;
  // The kernel's: for whom block 0 waits (its rank and one; 0: for nobody), above it in which step.
  std::uint64_t waits_for = 0;
};
inline constexpr std::uint64_t kErrorFound = std::uint64_t{1} << 63;

// What a rank hands to its kernel, by value.
struct DeviceCall {
  Kind kind{};
  Algorithm algorithm{};
  DType dtype{};
  Reduction reduction{};
  int root = 0;
  int divisor = 0;  // AVG's; 0: nothing to divide
  int rank = 0;
  int size = 1;
  std::uint32_t fingerprint = 0;

  const unsigned char* input = nullptr;
  unsigned char* output = nullptr;
  std::size_t element_bytes = 1;
  std::size_t slice_count = 1;  // elements of a chunk that travel in one message
  std::size_t slices = 1;       // of the longest chunk
  std::size_t input_first = 0;  // as in HostCall (comm/host/executor.h)
  std::size_t output_first = 0;
  std::size_t chunk_begin[kMostDeviceRanks + 1] = {};  // and the end of the last one
  int chunks = 1;

  DeviceLayout layout;
  DeviceWindow own;
  DeviceWindow of[kMostDeviceRanks];   // by rank
  DeviceProgress* progress = nullptr;  // by connection
  DeviceErrorFlags* error_flags = nullptr;
  unsigned char* scratch = nullptr;  // Place::scratch: a slot for each block

  // Ranks that can read this rank's buffers in place, a bit each; and from which size on messages
  // to them are exposed.
  std::uint32_t readers = 0;
  std::size_t zero_copy_from_bytes = SIZE_MAX;
};
static_assert(sizeof(DeviceCall) <= 4096, "what a kernel's arguments may take");

}  // namespace ringside
