// Windows in device memory, calls for the executors, and the end of both; the story is in group.h.
#include "comm/device/group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "comm/algorithms/run.h"
#include "comm/device/retired_windows.h"
#include "comm/error.h"
#include "comm/transport/credit.h"

namespace ringside {
namespace {

constexpr std::size_t kLine = sizeof(DeviceCell);
// One is not enough: kernel/executor.h says why. And credit goes back for each message.
constexpr int kDeviceSlots = 2;
static_assert(credit_batch(kDeviceSlots) == 1 && credit_batch(StreamConnection::kSlots) == 1);
// Of a piece that is exposed. A step costs a block some 2 us of waiting, in which it could move
// about 100 KiB: pieces should be several times that. By design; not measured yet.
constexpr std::size_t kExposedPieceBytes = std::size_t{512} << 10;
constexpr auto kEndsWithin = std::chrono::seconds(10);

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
std::size_t lines(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

// --- setting up ---

// A window: cells of the device executor, cells of the stream executor, goodbyes; then both
// executors' slots.
struct DeviceGroup::Memory {
  explicit Memory(const DeviceLayout& layout, std::size_t stream_slot_bytes)
      : stream_cells(layout.total_cells() * kLine),
        goodbyes(stream_cells + (StreamConnection::kSlots + 1) * kLine),
        slots(goodbyes + index(layout.size) * kLine),
        stream_slots(slots + layout.total_bytes()),
        total(stream_slots + StreamConnection::kSlots * stream_slot_bytes) {}
  std::size_t stream_cells, goodbyes, slots, stream_slots, total;
};

namespace {

// What a rank offers the others, and then how its set-up went. Trivially copyable.
struct DeviceOffer {
  DeviceFacts facts;
  DeviceHandle handle;
  std::int32_t executor = 0;
  std::uint64_t slot_bytes = 0, stream_slot_bytes = 0;
  bool exposes = false;     // its buffers to all others
  char sentence[400] = {};  // why it cannot take part; empty: it can
};

template <class Body>
void attempt(char (&sentence)[400], const Body& body) {
  try {
    body();
  } catch (const std::exception& error) {
    std::snprintf(sentence, sizeof sentence, "%s", error.what());
  }
}

}  // namespace

DeviceGroup::DeviceGroup(int rank, int size, const Options& options)
    : rank_(rank), size_(size), options_(options) {
  windows_.resize(index(size));
  connection_.left = Ring{rank, size}.left().rank;
}

std::unique_ptr<DeviceGroup> DeviceGroup::open(Bootstrap& bootstrap, const Peers& peers,
                                               const Options& options) {
  const Deadline deadline = Deadline::after_seconds(options.timeout_s);
  free_retired_windows();
  std::unique_ptr<DeviceGroup> group(new DeviceGroup(peers.rank(), peers.size(), options));
  DeviceOffer mine;
  mine.executor = static_cast<std::int32_t>(options.executor);
  mine.slot_bytes = options.device_slot_bytes;
  mine.stream_slot_bytes = options.stream_slot_bytes;
  // A rank whose device does not answer reports it with its offer; if it threw alone, it would
  // leave the others waiting.
  attempt(mine.sentence, [&] {
    group->device_ = options.device ? options.device() : current_device();
    mine.facts = group->device_->facts();
  });
  std::vector<DeviceOffer> offers = bootstrap.all_gather(mine, deadline);
  const auto fail_together = [&](const std::vector<DeviceOffer>& all) {
    for (std::size_t peer = 0; peer < all.size(); ++peer)
      if (all[peer].sentence[0] != '\0')
        throw_error(Fault::system, "rank %zu could not start: %s", peer, all[peer].sentence);
  };
  fail_together(offers);
  for (std::size_t peer = 0; peer < offers.size(); ++peer) {
    const DeviceOffer &it = offers[peer], &first = offers[0];
    if (it.executor != first.executor || it.slot_bytes != first.slot_bytes ||
        it.stream_slot_bytes != first.stream_slot_bytes)
      throw_error(Fault::usage,
                  "rank %zu chose another executor (RINGSIDE_EXECUTOR) or other slots on the "
                  "device than rank 0; all ranks must choose alike",
                  peer);
    group->facts_.push_back(it.facts);
  }
  group->capabilities_ = capabilities_of(group->facts_, options.executor);
  for (int peer = 1; peer < peers.size(); ++peer)
    if (!peers.way(0, peer).mapped)
      group->capabilities_ = {ExecutorChoice::host, "not all ranks share memory", 1, false};
  if (group->capabilities_.executor == ExecutorChoice::host) return group;

  attempt(mine.sentence, [&] {
    group->make_own();
    mine.handle = group->device_->share(group->window_);
  });
  offers = bootstrap.all_gather(mine, deadline);
  fail_together(offers);
  std::vector<DeviceHandle> handles;
  for (const DeviceOffer& it : offers) handles.push_back(it.handle);
  attempt(mine.sentence, [&] { group->open_peers(handles); });
  const std::uint32_t everyone = (std::uint32_t{1} << peers.size()) - 1;
  mine.exposes = (group->common_.readers | std::uint32_t{1} << peers.rank()) == everyone &&
                 group->common_.zero_copy_from_bytes <= group->layout_.slot_bytes;
  offers = bootstrap.all_gather(mine, deadline);
  group->capabilities_.all_expose =
      std::all_of(offers.begin(), offers.end(), [](const DeviceOffer& it) { return it.exposes; });
  // Where one pair of devices cannot reach each other, the whole communicator uses the host.
  for (std::size_t peer = 0; peer < offers.size(); ++peer)
    if (offers[peer].sentence[0] != '\0' && group->capabilities_.executor != ExecutorChoice::host) {
      group->capabilities_.executor = ExecutorChoice::host;
      group->capabilities_.why = text("rank %zu: %s", peer, offers[peer].sentence);
    }
  return group;
}

void DeviceGroup::make_own() {
  layout_ = {size_, capabilities_.blocks, kDeviceSlots, lines(options_.device_slot_bytes)};
  const std::size_t stream_slot = lines(options_.stream_slot_bytes);
  const Memory at(layout_, stream_slot);
  window_ = device_->allocate(at.total);
  // The progress of all connections, the device executor's scratch, and the stream executor's.
  const std::size_t sums = lines(layout_.connection(layout_.blocks, 0) * sizeof(DeviceProgress));
  const std::size_t scratch = sums + index(layout_.blocks) * layout_.slot_bytes;
  own_ = device_->allocate(scratch + 2 * stream_slot);
  error_flags_ = device_->make_error_flags();
  stream_ = device_->make_stream();
  begin_ = device_->make_event();

  if (capabilities_.executor == ExecutorChoice::stream) connection_.out = device_->make_stream();
  connection_.in = stream_;
  connection_.received = device_->make_event();
  for (int i = 0; i < 2; ++i) {
    connection_.scratch_free[i] = device_->make_event();
    connection_.scratch[i] = own_ + scratch + index(i) * stream_slot;
  }
  connection_.slot_bytes = stream_slot;
  const auto cells_of = [&](unsigned char* window) {
    return reinterpret_cast<DeviceCell*>(window + at.stream_cells);
  };
  connection_.own_cells = cells_of(window_);
  connection_.own_credit = connection_.own_cells + StreamConnection::kSlots;
  connection_.own_slots = window_ + at.stream_slots;

  common_.rank = rank_;
  common_.size = size_;
  common_.layout = layout_;
  common_.own = {window_ + at.slots, reinterpret_cast<DeviceCell*>(window_)};
  common_.progress = reinterpret_cast<DeviceProgress*>(own_);
  common_.scratch = own_ + sums;
  common_.error_flags = error_flags_;
  common_.zero_copy_from_bytes = options_.zero_copy_from_bytes;
}

void DeviceGroup::open_peers(const std::vector<DeviceHandle>& handles) {
  const Memory at(layout_, connection_.slot_bytes);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    unsigned char* window = device_->open(facts_[index(peer)], handles[index(peer)]);
    windows_[index(peer)] = window;
    common_.of[peer] = {window + at.slots, reinterpret_cast<DeviceCell*>(window)};
    if (device_->lets_read(facts_[index(peer)])) common_.readers |= std::uint32_t{1} << peer;
    auto* const cells = reinterpret_cast<DeviceCell*>(window + at.stream_cells);
    if (peer == Ring{rank_, size_}.right().rank) {
      connection_.right_cells = cells;
      connection_.right_slots = window + at.stream_slots;
    }
    if (peer == connection_.left) connection_.left_credit = cells + StreamConnection::kSlots;
  }
}

// --- calls ---

bool DeviceGroup::takes_stream(Device::Stream stream) {
  for (int peer = 0; peer < size_; ++peer)
    if (peer != rank_ && facts_[index(peer)].process == facts_[index(rank_)].process)
      return !device_->is_blocking(stream);
  return true;
}

std::size_t DeviceGroup::one_shot_most_bytes() const {
  // Chunks are cut for blocks and rounded up, so not quite all of it.
  return layout_.slot_bytes * index(layout_.blocks) / 2;
}

Device::Event DeviceGroup::event() {
  if (events_.empty()) return made_.emplace_back(device_->make_event());
  const Device::Event it = events_.back();
  events_.pop_back();
  return it;
}

Device::Event DeviceGroup::enqueue(const Plan& plan, const DeviceChoice& choice,
                                   std::uint32_t fingerprint, Device::Stream stream) {
  if (stream == nullptr) {
    stream = stream_;
    device_->wait_for_default(stream);
  }
  // Calls of one communicator come one after the other, whatever streams they are made on.
  if (last_ != nullptr && stream != last_stream_) device_->wait_for(stream, last_);
  if (choice.executor == ExecutorChoice::device) {
    const DeviceCall call = device_call(plan, choice.algorithm, fingerprint);
    device_->launch(stream, call, blocks_for(call));
  } else {
    enqueue_on_streams(plan, choice.algorithm, fingerprint, stream);
  }
  if (last_ == nullptr) last_ = device_->make_event();
  device_->record(last_, stream);
  last_stream_ = stream;
  const Device::Event done = event();
  device_->record(done, stream);
  return done;
}

void DeviceGroup::enqueue_on_streams(const Plan& plan, Algorithm algorithm,
                                     std::uint32_t fingerprint, Device::Stream stream) {
  device_->record(begin_, stream);
  device_->wait_for(connection_.in, begin_);
  device_->wait_for(connection_.out, begin_);
  HostCall call{{.algorithm = algorithm}, plan, fingerprint};
  call.slice_count = connection_.slot_bytes / plan.element_bytes;
  call.slices = slices_for(plan.chunks.longest(), call.slice_count);
  StreamExecutor executor(call, connection_, *device_, error_flags_);
  run_algorithm(plan.what.kind, algorithm, executor, Ring{rank_, size_}, plan.what.root);
  for (const Device::Stream half : {connection_.in, connection_.out}) {
    device_->record(begin_, half);
    device_->wait_for(stream, begin_);
  }
}

// Pieces that every rank exposes need no slot, so they may be longer than one. Not partial sums,
// which have no other place, nor what is in scratch, nor one-shot's, whose messages hold all
// chunks.
bool DeviceGroup::exposes_all_of(const DeviceCall& call) const {
  if (!capabilities_.all_expose || call.kind == Kind::reduce ||
      call.algorithm == Algorithm::one_shot)
    return false;
  const bool sums = has_reduction(call.kind) && traits(call.algorithm).ring_only;
  return !sums || size_ == 2;
}

// Small calls are cut finer, so that every block has its share; but no share below a few KiB, which
// one block moves as fast.
DeviceCall DeviceGroup::device_call(const Plan& from, Algorithm algorithm,
                                    std::uint32_t fingerprint) const {
  constexpr std::size_t kLeastBytes = 4096;
  DeviceCall call = common_;
  call.kind = from.what.kind;
  call.algorithm = algorithm;
  call.dtype = from.what.dtype;
  call.reduction = from.what.reduction;
  call.root = from.what.root;
  call.divisor = from.divide == nullptr ? 0 : from.divisor;
  call.fingerprint = fingerprint;
  call.input = reinterpret_cast<const unsigned char*>(from.input);
  call.output = reinterpret_cast<unsigned char*>(from.output);
  call.element_bytes = from.element_bytes;
  call.input_first = from.input_first;
  call.output_first = from.output_first;
  call.chunks = chunks_in(from.what.kind, size_);
  for (int chunk = 0; chunk < call.chunks; ++chunk) {
    const Range r = from.chunks[chunk];
    call.chunk_begin[chunk] = r.begin;
    call.chunk_begin[chunk + 1] = r.begin + r.count;
  }
  const std::size_t longest = from.chunks.longest();
  const std::size_t each = (longest + index(layout_.blocks) - 1) / index(layout_.blocks);
  const std::size_t least = kLeastBytes / call.element_bytes;
  // Whole lines, so that slices begin where vectors do if the buffer does.
  const std::size_t line = kLine / call.element_bytes;
  const std::size_t share = (std::max(each, least) + line - 1) / line * line;
  const std::size_t most =
      exposes_all_of(call) ? std::max(kExposedPieceBytes, layout_.slot_bytes) : layout_.slot_bytes;
  call.slice_count = std::min(share, most / call.element_bytes);
  // Here a message holds all chunks, and a block has one slice of each.
  if (call.algorithm == Algorithm::one_shot)
    call.slice_count =
        std::max(each, std::min(share, layout_.slot_bytes / call.element_bytes / index(size_)));
  call.slices = slices_for(longest, call.slice_count);
  return call;
}

int DeviceGroup::blocks_for(const DeviceCall& call) const {
  return static_cast<int>(std::min(call.slices, index(layout_.blocks)));
}

// --- what is known of a call under way ---

std::optional<DeviceGroup::MismatchedMessage> DeviceGroup::mismatched_message() const {
  if (error_flags_ == nullptr) return std::nullopt;
  const std::uint64_t found = __atomic_load_n(&error_flags_->found, __ATOMIC_ACQUIRE);
  if ((found & kErrorFound) == 0) return std::nullopt;
  return MismatchedMessage{static_cast<int>(found >> 32 & 0xff), static_cast<std::uint32_t>(found)};
}

std::uint64_t DeviceGroup::awaited_bits() const {
  return error_flags_ == nullptr ? 0 : __atomic_load_n(&error_flags_->waits_for, __ATOMIC_ACQUIRE);
}

int DeviceGroup::awaited() const {
  const std::uint64_t waits = awaited_bits();
  const auto rank = static_cast<int>(static_cast<std::uint32_t>(waits)) - 1;
  return rank < 0 || rank >= size_ ? connection_.left : rank;
}

std::string DeviceGroup::waits_for() const {
  const std::uint64_t waits = awaited_bits();
  if (waits == 0) return "";
  return text(" in step %u, for rank %d", static_cast<unsigned>(waits >> 32), awaited());
}

// --- the end ---

// Any thread may call it, and again: a peer that does not know yet may reset a flag.
void DeviceGroup::break_off() {
  if (error_flags_ == nullptr) return;
  const std::lock_guard lock(break_mutex_);
  __atomic_store_n(&error_flags_->abort, 1u, __ATOMIC_RELEASE);
  if (capabilities_.executor != ExecutorChoice::stream) return;
  constexpr int kCells = StreamConnection::kSlots + 1;
  // Further than anything that a stream may wait for, which is at most a few from where it is.
  if (!broken_) device_->read(far_, connection_.own_cells, sizeof far_);
  for (int cell = 0; cell < kCells && !broken_; ++cell)
    far_[cell].bits = device_signal(device_sequence(far_[cell].bits) + (1u << 30), 0);
  broken_ = true;
  for (int cell = 0; cell < kCells; ++cell)
    device_->write(connection_.own_cells + cell, &far_[cell], sizeof far_[cell]);
}

DeviceGroup::~DeviceGroup() {
  if (window_ == nullptr) return;
  try {
    part();
  } catch (const std::exception&) {
    return;  // the device does not answer any more; what it holds goes with the process
  }
  free_retired_windows();
}

// Waits for this rank's own work, sends a goodbye to all peers, and retires its window. What does
// not end is left where it is: memory that a kernel uses is never freed.
void DeviceGroup::part() {
  const auto start = std::chrono::steady_clock::now();
  while (last_ != nullptr && !device_->is_done(last_)) {
    if (std::chrono::steady_clock::now() - start > kEndsWithin) return;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  const Memory at(layout_, connection_.slot_bytes);
  DeviceCell goodbye{};
  goodbye.bits = 1;
  for (int peer = 0; peer < size_; ++peer) {
    unsigned char* const window = windows_[index(peer)];
    if (window == nullptr) continue;
    device_->write(window + at.goodbyes + index(rank_) * kLine, &goodbye, sizeof goodbye);
    device_->close(facts_[index(peer)], window);
  }
  for (const Device::Event it : made_) device_->end_event(it);
  for (const Device::Event it : {last_, begin_, connection_.received, connection_.scratch_free[0],
                                 connection_.scratch_free[1]})
    if (it != nullptr) device_->end_event(it);
  for (const Device::Stream it : {stream_, connection_.out})
    if (it != nullptr) device_->end_stream(it);
  device_->free(own_);
  device_->free_error_flags(error_flags_);
  retire_window({device_, window_, at.goodbyes, rank_, size_});
}

}  // namespace ringside
