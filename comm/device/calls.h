// Calls whose buffers are a device's: which executor carries each out, and the wait for those that
// are under way there. Between the communicator, which counts calls and can be broken, and
// DeviceGroup, which enqueues.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "comm/control/status.h"
#include "comm/device/group.h"
#include "comm/device/staging.h"
#include "comm/host/plan.h"
#include "comm/host/waiter.h"
#include "comm/host/work_queue.h"
#include "comm/options.h"
#include "comm/peers/peers.h"

namespace ringside {

class DeviceCalls {
 public:
  // Null where not every rank has made a device current.
  static std::unique_ptr<DeviceCalls> open(Bootstrap& bootstrap, Peers& peers,
                                           const Options& options);
  ~DeviceCalls();

  // For tables: which executor carries calls out, why, and a rank's device.
  ExecutorInUse executor() const;
  std::string name_of(int rank) const { return group_->name_of(rank); }
  // The same for one call on device memory: a pure function of the call and of what all ranks
  // agreed on. Of one that goes to the host it says so, and nothing about the algorithm there.
  ExecutorInUse executor_for(const Operation& what) const;

  // Throws Error{usage} if calls cannot be made on this stream.
  void check_stream(Device::Stream stream) const;

  // Does the call go to the device? Then its operation says so from now on. If not, its buffers may
  // still be the device's: they are then staged.
  std::optional<DeviceChoice> takes(Plan& plan);
  // Staged buffers, if any are; none where all of them are the host's.
  std::optional<Staging> stage(Plan& plan);
  std::optional<Staging> stage(std::vector<Message>& messages);

  // Enqueues the call and waits for its end. As a host call does, it throws what goes wrong.
  void carry_out(const Plan& plan, const DeviceChoice& choice, std::uint32_t fingerprint,
                 Waiter& waiter);

  // Enqueues the call on the caller's stream; the Work ends with it. `fail` is called with an Error
  // before the Work has it.
  Work enqueue(const Plan& plan, const DeviceChoice& choice, const Call& entry,
               Device::Stream stream, std::function<void(const Error&)> fail);

  // Waits until everything before has ended on the stream.
  void finish(Device::Stream stream, Waiter& waiter);

  // Waits until all calls have ended, well or not.
  void drain();
  // The communicator is broken: frees what waits on the device.
  void break_off() noexcept;
  // After that: waits until it has ended, as the buffers are the caller's again. Not for ever.
  void wait_for_end() noexcept;

 private:
  DeviceCalls(std::unique_ptr<DeviceGroup> group, Peers& peers, const Options& options);

  DeviceChoice choose(const Operation& what) const;
  void watch(Device::Event done, Waiter& waiter);
  bool is_here(const void* address) { return address != nullptr && group_->device().owns(address); }

  std::unique_ptr<DeviceGroup> group_;
  Ring ring_;
  Algorithm algorithm_;
  CallContext watched_;
  Waiter watcher_;
  Device::Event last_ = nullptr;  // the end of the last call under way
  std::mutex group_mutex_;        // events are given back by the thread that watches
  WorkQueue watchers_;            // last, so that it ends first
};

}  // namespace ringside
