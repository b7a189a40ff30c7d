// A communicator's ranks on their devices: the windows in device memory, which executor carries out
// a call, and calls that are under way there.
//
// Made together with the communicator, if every rank has made a device current before. Ranks may
// share a device or have one each; what is possible is worked out from what all know of theirs:
//
//     device executor   its kernels wait for each other, so they must all run at once: threads of
//                       one process, processes under MPS, or a device for each process
//     stream executor   needs memory that peers reach, and nothing more
//     host executor     always: the buffers are copied to the host and back
//
// A call is enqueued, and then its end is waited for as on the host (waiter.h), by an event in
// place of a flag: so a dead, late or mismatched peer is found and reported in the same sentences.
// If a call fails, the communicator is marked broken first, and then everything that waits on the
// device is freed: kernels by the abort flag, streams by a flag that is further than any they wait
// for.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/device/capabilities.h"
#include "comm/device/device.h"
#include "comm/device/stream_executor.h"
#include "comm/host/plan.h"
#include "comm/options.h"
#include "comm/peers/peers.h"

namespace ringside {

// How a call on device memory is carried out: by which executor (never automatic) and algorithm.
struct DeviceChoice {
  ExecutorChoice executor;
  Algorithm algorithm;
};

class DeviceGroup {
 public:
  // Collective; every rank has a device, which it takes here. Throws on every rank or on none.
  static std::unique_ptr<DeviceGroup> open(Bootstrap& bootstrap, const Peers& peers,
                                           const Options& options);
  ~DeviceGroup();
  DeviceGroup(const DeviceGroup&) = delete;
  DeviceGroup& operator=(const DeviceGroup&) = delete;

  Device& device() { return *device_; }
  const DeviceCapabilities& capabilities() const { return capabilities_; }

  std::string name_of(int rank) const { return facts_[static_cast<std::size_t>(rank)].name.data(); }

  // Can a call on this stream wait for other ranks' calls? Where ranks are threads of one process,
  // a stream that waits for work that names no stream could wait for its own peer.
  bool takes_stream(Device::Stream stream);
  // A one-shot or two-shot message must fit the slots of all blocks together.
  std::size_t one_shot_most_bytes() const;

  // Enqueues a call on `stream`, or on a stream of this object's own if that is null. The choice is
  // the device executor or the stream executor. Gives the event that is done when the call is; it
  // is to be given back then.
  Device::Event enqueue(const Plan& plan, const DeviceChoice& choice, std::uint32_t fingerprint,
                        Device::Stream stream);
  void give_back(Device::Event done) { events_.push_back(done); }

  // A message of another call was found: its sender, and its fingerprint. Or none.
  struct MismatchedMessage {
    int rank;
    std::uint32_t fingerprint;
  };
  std::optional<MismatchedMessage> mismatched_message() const;
  // "in step 2, for rank 3", as far as the kernel has reported it; empty: it has not.
  std::string waits_for() const;
  // The rank that is waited for, as far as is known: the left neighbour at least.
  int awaited() const;

  // Whatever waits on the device ends soon. The communicator must be broken already.
  void break_off();

 private:
  DeviceGroup(int rank, int size, const Options& options);

  struct Memory;  // where everything is in a window
  void make_own();
  void open_peers(const std::vector<DeviceHandle>& handles);
  DeviceCall device_call(const Plan& plan, Algorithm algorithm, std::uint32_t fingerprint) const;
  bool exposes_all_of(const DeviceCall& call) const;
  int blocks_for(const DeviceCall& call) const;
  void enqueue_on_streams(const Plan& plan, Algorithm algorithm, std::uint32_t fingerprint,
                          Device::Stream stream);
  Device::Event event();
  std::uint64_t awaited_bits() const;  // DeviceErrorFlags::waits_for
  void part();

  std::shared_ptr<Device> device_;
  int rank_;
  int size_;
  Options options_;
  DeviceCapabilities capabilities_;
  std::vector<DeviceFacts> facts_;
  DeviceLayout layout_;
  unsigned char* window_ = nullptr;      // this rank's; the peers have it open
  std::vector<unsigned char*> windows_;  // the peers', by rank; null: not open
  unsigned char* own_ = nullptr;         // this rank's alone
  DeviceErrorFlags* error_flags_ = nullptr;
  DeviceCall common_;  // what is the same for every call
  StreamConnection connection_;
  Device::Stream stream_ = nullptr;
  Device::Stream last_stream_ = nullptr;
  Device::Event last_ = nullptr;  // the end of the last call; null before the first
  Device::Event begin_ = nullptr;
  std::vector<Device::Event> made_;    // for calls; one that fails does not give its back
  std::vector<Device::Event> events_;  // of these, to be used again
  std::mutex break_mutex_;
  bool broken_ = false;
  DeviceCell far_[StreamConnection::kSlots + 1] = {};  // what flags are pushed to then
};

}  // namespace ringside
