// Choosing the executor, and waiting; the story is in group.h.
#include "comm/device/calls.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "comm/error.h"

namespace ringside {
namespace {

// Which algorithm an all_reduce on the device executor runs. By design, and not measured yet: a
// step costs about 2 us there, in which a rank's share of its memory's bandwidth moves some 100
// KiB; so a one-shot's n−1 times as many bytes pay up to where they take a step's time. Beyond
// that, two steps are fewer than the ring's. Where pieces are exposed two-shot reads and writes
// each byte once, and partial sums stay in registers; elsewhere its n−2 copies cost more than steps
// at some size.
constexpr std::size_t kDeviceOneShotBytes = std::size_t{512} << 10;
constexpr std::size_t kDeviceTwoShotBytes = std::size_t{8} << 20;

Algorithm algorithm_on_device(Algorithm chosen, std::size_t bytes, int size,
                              const DeviceGroup& group) {
  if (size < 2 || chosen == Algorithm::ring) return Algorithm::ring;
  if (chosen == Algorithm::two_shot) return Algorithm::two_shot;
  const std::size_t pays =
      chosen == Algorithm::one_shot ? SIZE_MAX : kDeviceOneShotBytes / static_cast<unsigned>(size);
  if (bytes <= std::min(pays, group.one_shot_most_bytes())) return Algorithm::one_shot;
  if (chosen == Algorithm::one_shot || size == 2) return Algorithm::ring;
  return group.capabilities().all_expose || bytes <= kDeviceTwoShotBytes ? Algorithm::two_shot
                                                                         : Algorithm::ring;
}

}  // namespace

std::unique_ptr<DeviceCalls> DeviceCalls::open(Bootstrap& bootstrap, Peers& peers,
                                               const Options& options) {
  for (int peer = 0; peer < peers.size(); ++peer)
    if (!peers.rank_info(peer).has_device) return nullptr;
  return std::unique_ptr<DeviceCalls>(
      new DeviceCalls(DeviceGroup::open(bootstrap, peers, options), peers, options));
}

DeviceCalls::DeviceCalls(std::unique_ptr<DeviceGroup> group, Peers& peers, const Options& options)
    : group_(std::move(group)),
      ring_{peers.rank(), peers.size()},
      algorithm_(options.algorithm),
      watched_(peers, options),
      watcher_(peers, watched_, options, Waiter::Notes::none) {}

DeviceCalls::~DeviceCalls() = default;

ExecutorInUse DeviceCalls::executor() const {
  return {ringside::name_of(group_->capabilities().executor), group_->capabilities().why};
}

// --- which way ---

void DeviceCalls::check_stream(Device::Stream stream) const {
  if (group_->takes_stream(stream)) return;
  throw_error(
      Fault::usage,
      "rank %d: this stream waits for work that names no stream, and ranks that are threads of one "
      "process could wait for each other so; make it with cudaStreamNonBlocking",
      ring_.rank);
}

std::optional<DeviceChoice> DeviceCalls::takes(Plan& plan) {
  const bool input = plan.input_count > 0 && is_here(plan.input);
  const bool output = plan.output_count > 0 && is_here(plan.output);
  if (!input && !output) return std::nullopt;
  const bool all = input == (plan.input_count > 0) && output == (plan.output_count > 0);
  const DeviceChoice choice = choose(plan.what);
  if (!all || choice.executor == ExecutorChoice::host) return std::nullopt;
  plan.what.on_device = true;
  return choice;
}

// A device has bounds of its own between the algorithms of an all_reduce, and a stream only the
// ring.
DeviceChoice DeviceCalls::choose(const Operation& what) const {
  DeviceChoice choice{group_->capabilities().executor, traits(what.kind).algorithm};
  if (what.kind == Kind::all_reduce && algorithm_ == Algorithm::hierarchical)
    choice = {ExecutorChoice::host, algorithm_};
  else if (what.kind == Kind::all_reduce && choice.executor == ExecutorChoice::device)
    choice.algorithm =
        algorithm_on_device(algorithm_, what.count * bytes_of(what.dtype), ring_.size, *group_);
  if (choice.executor == ExecutorChoice::stream && !traits(choice.algorithm).ring_only)
    choice.executor = ExecutorChoice::host;
  return choice;
}

ExecutorInUse DeviceCalls::executor_for(const Operation& what) const {
  const DeviceChoice choice = choose(what);
  ExecutorInUse it = executor();
  if (choice.executor != group_->capabilities().executor)
    it = {
        ringside::name_of(choice.executor),
        choice.algorithm == Algorithm::hierarchical
            ? "only the host executor carries out an all_reduce in groups"
            : "the stream executor has the ring's primitives alone, and this operation has others"};
  if (choice.executor != ExecutorChoice::host) it.algorithm = choice.algorithm;
  return it;
}

std::optional<Staging> DeviceCalls::stage(Plan& plan) {
  if (!is_here(plan.input) && !is_here(plan.output)) return std::nullopt;
  std::optional<Staging> staging(group_->device());
  staging->stage(plan);
  return staging;
}

std::optional<Staging> DeviceCalls::stage(std::vector<Message>& messages) {
  bool any = false;
  for (const Message& it : messages) any |= is_here(it.buffer());
  if (!any) return std::nullopt;
  std::optional<Staging> staging(group_->device());
  staging->stage(messages);
  return staging;
}

// --- under way ---

void DeviceCalls::watch(Device::Event done, Waiter& waiter) {
  const auto where = [&] { return "waiting for the device" + group_->waits_for(); };
  waiter.wait(
      group_->awaited(),
      [&] { return group_->device().is_done(done) || group_->mismatched_message(); }, where);
  if (const std::optional<DeviceGroup::MismatchedMessage> it = group_->mismatched_message())
    waiter.call().throw_mismatched_message(it->rank, it->fingerprint, where);
  // A rank that fails raises the alarm and then lets its streams run out, with whatever they hold.
  // So while there is no alarm, what has come was meant.
  waiter.call().check_alarm();
}

void DeviceCalls::carry_out(const Plan& plan, const DeviceChoice& choice, std::uint32_t fingerprint,
                            Waiter& waiter) {
  Device::Event done;
  {
    const std::lock_guard lock(group_mutex_);
    last_ = done = group_->enqueue(plan, choice, fingerprint, nullptr);
  }
  watch(done, waiter);
  const std::lock_guard lock(group_mutex_);
  last_ = nullptr;
  group_->give_back(done);
}

Work DeviceCalls::enqueue(const Plan& plan, const DeviceChoice& choice, const Call& entry,
                          Device::Stream stream, std::function<void(const Error&)> fail) {
  Device::Event done;
  {
    const std::lock_guard lock(group_mutex_);
    last_ = done = group_->enqueue(plan, choice, entry.fingerprint, stream);
  }
  return watchers_.submit([this, done, entry, fail = std::move(fail)] {
    try {
      watched_.enter(entry);
      watch(done, watcher_);
    } catch (const Error& error) {
      fail(error);
      wait_for_end();
      throw;
    } catch (const std::exception& error) {
      const Error sentence(Fault::system, text("%s: %s", watched_.here().c_str(), error.what()));
      fail(sentence);
      wait_for_end();
      throw sentence;
    }
    const std::lock_guard lock(group_mutex_);
    if (last_ == done) last_ = nullptr;
    group_->give_back(done);
  });
}

void DeviceCalls::finish(Device::Stream stream, Waiter& waiter) {
  const Device::Event mark = group_->device().make_event();
  group_->device().record(mark, stream);
  waiter.wait(
      group_->awaited(), [&] { return group_->device().is_done(mark); },
      [] { return std::string("waiting for what is before it on the stream"); });
  group_->device().end_event(mark);
}

// --- the end ---

void DeviceCalls::drain() {
  watchers_.submit([] {}).wait();
}

void DeviceCalls::break_off() noexcept {
  try {
    group_->break_off();
  } catch (const std::exception&) {
    // A device that does not even accept this does not carry anything out either.
  }
}

// A peer that has not failed yet may write to a flag that was pushed far ahead, and so take it
// back.
void DeviceCalls::wait_for_end() noexcept {
  const std::lock_guard lock(group_mutex_);
  if (last_ == nullptr) return;
  try {
    for (int i = 0; i < 5'000 && !group_->device().is_done(last_); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      group_->break_off();
    }
  } catch (const std::exception&) {
  }
}

}  // namespace ringside
