// A block of threads that all run the same code, as the device executor sees it.
//
// A Block has
//    index(), count()      which block of how many
//    broadcast(f)          the leader's f() → LeaderResult, known to all threads; a barrier before
//    anybody
//                          goes on
//    leader(f)             the leader alone; nobody waits for it
//    together(f)           f(thread, threads) on each thread, and a barrier
//    progress(peer)        DeviceProgress& of this block towards a peer, for the leader alone
//    relax()               between two reads of a flag
//
// There are two: a GPU's (comm/device/cuda/gpu_block.h), and one that a CPU emulates, thread
// after thread (tests/device/cpu_device.cc).
#pragma once

namespace ringside {

// What a leader broadcasts to its block: where something is, and whether there is anything at all.
struct LeaderResult {
  const unsigned char* at = nullptr;
  bool ok = false;
  bool is_zero_copy = false;
};

}  // namespace ringside
