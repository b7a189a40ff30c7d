// Windows in device memory, orders to the lanes, and the end of both; the story is in
// device_side.h.
#include "comm/device/group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "comm/device/retired_windows.h"
#include "comm/error.h"

namespace ringside {
namespace {

constexpr std::size_t kLine = sizeof(DeviceCell);
constexpr int kDeviceSlots = 2;  // device_lane.h tells why not one
// Of a piece that is lent. A step costs a block some 2 us of waiting, in which it could move about
// 100 KiB: pieces should be several times that. By design; not measured yet.
constexpr std::size_t kLentPieceBytes = std::size_t{512} << 10;
constexpr auto kEndsWithin = std::chrono::seconds(10);

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
std::size_t lines(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

// --- setting up ---

// A window: cells of the device lane, cells of the stream lane, goodbyes; then both lanes' slots.
struct DeviceSide::Memory {
  explicit Memory(const DeviceLayout& layout, std::size_t stream_slot_bytes)
      : stream_cells(layout.total_cells() * kLine),
        goodbyes(stream_cells + (StreamRoad::kSlots + 1) * kLine),
        slots(goodbyes + index(layout.size) * kLine),
        stream_slots(slots + layout.total_bytes()),
        total(stream_slots + StreamRoad::kSlots * stream_slot_bytes) {}
  std::size_t stream_cells, goodbyes, slots, stream_slots, total;
};

namespace {

// What a rank says of itself, and then of how it went. Trivially copyable.
struct DeviceOffer {
  DeviceFacts facts;
  DeviceHandle handle;
  std::int32_t lane = 0;
  std::uint64_t slot_bytes = 0, stream_slot_bytes = 0;
  bool lends = false;       // its buffers to all others
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

DeviceSide::DeviceSide(int rank, int size, const Options& options)
    : rank_(rank), size_(size), options_(options) {
  windows_.resize(index(size));
  road_.left = Ring{rank, size}.left();
}

std::unique_ptr<DeviceSide> DeviceSide::open(Bootstrap& bootstrap, const Peers& peers,
                                             const Options& options) {
  const Deadline deadline = Deadline::after_seconds(options.timeout_s);
  sweep_leftovers();
  std::unique_ptr<DeviceSide> side(new DeviceSide(peers.rank(), peers.size(), options));
  DeviceOffer mine;
  mine.lane = static_cast<std::int32_t>(options.lane);
  mine.slot_bytes = options.device_slot_bytes;
  mine.stream_slot_bytes = options.stream_slot_bytes;
  // A rank whose device does not answer says so at the meeting; alone it would leave the others.
  attempt(mine.sentence, [&] {
    side->device_ = options.device ? options.device() : current_device();
    mine.facts = side->device_->facts();
  });
  std::vector<DeviceOffer> offers = bootstrap.all_gather(mine, deadline);
  const auto fail_together = [&](const std::vector<DeviceOffer>& all) {
    for (std::size_t peer = 0; peer < all.size(); ++peer)
      if (all[peer].sentence[0] != '\0')
        throw Error(Fault::system, text("rank %zu could not start: %s", peer, all[peer].sentence));
  };
  fail_together(offers);
  for (std::size_t peer = 0; peer < offers.size(); ++peer) {
    const DeviceOffer &it = offers[peer], &first = offers[0];
    if (it.lane != first.lane || it.slot_bytes != first.slot_bytes ||
        it.stream_slot_bytes != first.stream_slot_bytes)
      throw Error(Fault::usage,
                  text("rank %zu chose another lane (RINGSIDE_LANE) or other slots on the device "
                       "than rank 0; all ranks must choose alike",
                       peer));
    side->facts_.push_back(it.facts);
  }
  side->terms_ = terms_of(side->facts_, options.lane);
  if (side->terms_.lane == LaneChoice::host) return side;

  attempt(mine.sentence, [&] {
    side->make_own(side->terms_);
    mine.handle = side->device_->share(side->window_);
  });
  offers = bootstrap.all_gather(mine, deadline);
  fail_together(offers);
  std::vector<DeviceHandle> handles;
  for (const DeviceOffer& it : offers) handles.push_back(it.handle);
  attempt(mine.sentence, [&] { side->open_peers(side->facts_, handles); });
  const std::uint32_t everyone = (std::uint32_t{1} << peers.size()) - 1;
  mine.lends = (side->common_.readers | std::uint32_t{1} << peers.rank()) == everyone &&
               side->common_.lend_from_bytes <= side->layout_.slot_bytes;
  offers = bootstrap.all_gather(mine, deadline);
  side->terms_.all_lend =
      std::all_of(offers.begin(), offers.end(), [](const DeviceOffer& it) { return it.lends; });
  // No way for one pair of devices is none for this communicator; the host's always goes.
  for (std::size_t peer = 0; peer < offers.size(); ++peer)
    if (offers[peer].sentence[0] != '\0' && side->terms_.lane != LaneChoice::host) {
      side->terms_.lane = LaneChoice::host;
      side->terms_.why = text("rank %zu: %s", peer, offers[peer].sentence);
    }
  return side;
}

void DeviceSide::make_own(const DeviceTerms& terms) {
  layout_ = {size_, terms.blocks, kDeviceSlots, lines(options_.device_slot_bytes)};
  const std::size_t stream_slot = lines(options_.stream_slot_bytes);
  const Memory at(layout_, stream_slot);
  window_ = device_->allocate(at.total);
  // Progress of all roads, what `kept` means, and the stream lane's scratch.
  const std::size_t kept = lines(layout_.road(layout_.blocks, 0) * sizeof(DeviceProgress));
  const std::size_t scratch = kept + index(layout_.blocks) * layout_.slot_bytes;
  own_ = device_->allocate(scratch + 2 * stream_slot);
  trouble_ = device_->make_trouble();
  stream_ = device_->make_stream();
  begin_ = device_->make_event();

  if (terms.lane == LaneChoice::stream) road_.out = device_->make_stream();
  road_.in = stream_;
  road_.received = device_->make_event();
  for (int i = 0; i < 2; ++i) {
    road_.scratch_free[i] = device_->make_event();
    road_.scratch[i] = own_ + scratch + index(i) * stream_slot;
  }
  road_.slot_bytes = stream_slot;
  const auto cells_of = [&](unsigned char* window) {
    return reinterpret_cast<DeviceCell*>(window + at.stream_cells);
  };
  road_.own_cells = cells_of(window_);
  road_.own_credit = road_.own_cells + StreamRoad::kSlots;
  road_.own_slots = window_ + at.stream_slots;

  common_.rank = rank_;
  common_.size = size_;
  common_.layout = layout_;
  common_.own = {window_ + at.slots, reinterpret_cast<DeviceCell*>(window_)};
  common_.progress = reinterpret_cast<DeviceProgress*>(own_);
  common_.kept = own_ + kept;
  common_.trouble = trouble_;
  common_.lend_from_bytes = options_.direct_from_bytes;
}

void DeviceSide::open_peers(const std::vector<DeviceFacts>& facts,
                            const std::vector<DeviceHandle>& handles) {
  const Memory at(layout_, road_.slot_bytes);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    unsigned char* window = device_->open(facts[index(peer)], handles[index(peer)]);
    windows_[index(peer)] = window;
    common_.of[peer] = {window + at.slots, reinterpret_cast<DeviceCell*>(window)};
    if (device_->lets_read(facts[index(peer)])) common_.readers |= std::uint32_t{1} << peer;
    auto* const cells = reinterpret_cast<DeviceCell*>(window + at.stream_cells);
    if (peer == Ring{rank_, size_}.right()) {
      road_.right_cells = cells;
      road_.right_slots = window + at.stream_slots;
    }
    if (peer == road_.left) road_.left_credit = cells + StreamRoad::kSlots;
  }
}

// --- calls ---

LaneChoice DeviceSide::lane_for(const Plan& plan) const {
  LaneChoice lane = terms_.lane;
  if (lane == LaneChoice::stream && !on_ring_only(plan.algorithm.text)) lane = LaneChoice::host;
  return lane;
}

bool DeviceSide::takes_stream(Device::Stream stream) {
  for (int peer = 0; peer < size_; ++peer)
    if (peer != rank_ && facts_[index(peer)].process == facts_[index(rank_)].process)
      return !device_->is_blocking(stream);
  return true;
}

std::size_t DeviceSide::one_shot_most_bytes() const {
  // Chunks are cut for blocks and rounded up, so not quite all of it.
  return layout_.slot_bytes * index(layout_.blocks) / 2;
}

Device::Event DeviceSide::event() {
  if (events_.empty()) return made_.emplace_back(device_->make_event());
  const Device::Event it = events_.back();
  events_.pop_back();
  return it;
}

DeviceSide::Ticket DeviceSide::enqueue(const Plan& plan, Device::Stream stream) {
  if (stream == nullptr) {
    stream = stream_;
    device_->wait_for_default(stream);
  }
  // Calls of one communicator come one after the other, whatever streams they are made on.
  if (any_ && stream != last_stream_) device_->wait_for(stream, last_);
  if (lane_for(plan) == LaneChoice::device) {
    const DeviceCall call = device_call(plan);
    device_->launch(stream, call, blocks_for(call));
  } else {
    enqueue_on_streams(plan, stream);
  }
  if (last_ == nullptr) last_ = device_->make_event();
  device_->record(last_, stream);
  last_stream_ = stream;
  any_ = true;
  const Ticket ticket{event()};
  device_->record(ticket.done, stream);
  return ticket;
}

void DeviceSide::enqueue_on_streams(const Plan& plan, Device::Stream stream) {
  device_->record(begin_, stream);
  device_->wait_for(road_.in, begin_);
  device_->wait_for(road_.out, begin_);
  HostCall call = plan.call;
  call.slice_count = road_.slot_bytes / call.element_bytes;
  call.slices = slices_for(call.chunks.longest(), call.slice_count);
  StreamLane lane(call, road_, *device_, trouble_);
  read_ring_text(plan.algorithm.text, lane, Ring{rank_, size_}, call.what.root);
  for (const Device::Stream half : {road_.in, road_.out}) {
    device_->record(begin_, half);
    device_->wait_for(stream, begin_);
  }
}

// Pieces that every rank lends need no slot, so they may be longer than one. Not partial sums,
// which have no other place, nor what is kept, nor one-shot's, as all chunks are in one message
// there.
bool DeviceSide::lends_all_of(const DeviceCall& call) const {
  if (!terms_.all_lend || call.text == Text::reduce || call.text == Text::all_reduce_one_shot)
    return false;
  const bool sums = call.text == Text::all_reduce || call.text == Text::reduce_scatter;
  return !sums || size_ == 2;
}

// Small calls are cut finer, so that every block has its share; but no share below a few KiB, which
// one block moves as fast.
DeviceCall DeviceSide::device_call(const Plan& plan) const {
  constexpr std::size_t kLeastBytes = 4096;
  const HostCall& from = plan.call;
  DeviceCall call = common_;
  call.text = plan.algorithm.text;
  call.dtype = from.what.dtype;
  call.reduction = from.what.reduction;
  call.root = from.what.root;
  call.divisor = from.divide == nullptr ? 0 : from.divisor;
  call.fingerprint = from.fingerprint;
  call.input = reinterpret_cast<const unsigned char*>(from.input);
  call.output = reinterpret_cast<unsigned char*>(from.output);
  call.element_bytes = from.element_bytes;
  call.input_first = from.input_first;
  call.output_first = from.output_first;
  call.chunks = from.what.kind == Kind::broadcast ? 1 : size_;
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
      lends_all_of(call) ? std::max(kLentPieceBytes, layout_.slot_bytes) : layout_.slot_bytes;
  call.slice_count = std::min(share, most / call.element_bytes);
  // Here a message holds all chunks, and a block has one slice of each.
  if (call.text == Text::all_reduce_one_shot)
    call.slice_count =
        std::max(each, std::min(share, layout_.slot_bytes / call.element_bytes / index(size_)));
  call.slices = slices_for(longest, call.slice_count);
  return call;
}

int DeviceSide::blocks_for(const DeviceCall& call) const {
  return static_cast<int>(std::min(call.slices, index(layout_.blocks)));
}

// --- what is known of a call under way ---

std::optional<DeviceSide::Stranger> DeviceSide::stranger() const {
  if (trouble_ == nullptr) return std::nullopt;
  const std::uint64_t found = __atomic_load_n(&trouble_->found, __ATOMIC_ACQUIRE);
  if ((found & kTroubleFound) == 0) return std::nullopt;
  return Stranger{static_cast<int>(found >> 32 & 0xff), static_cast<std::uint32_t>(found)};
}

std::uint64_t DeviceSide::told_wait() const {
  return trouble_ == nullptr ? 0 : __atomic_load_n(&trouble_->waits_for, __ATOMIC_ACQUIRE);
}

int DeviceSide::awaited() const {
  const std::uint64_t waits = told_wait();
  const auto rank = static_cast<int>(static_cast<std::uint32_t>(waits)) - 1;
  return rank < 0 || rank >= size_ ? road_.left : rank;
}

std::string DeviceSide::waits_for() const {
  const std::uint64_t waits = told_wait();
  if (waits == 0) return "";
  return text(" in step %u, for rank %d", static_cast<unsigned>(waits >> 32), awaited());
}

// --- the end ---

// Any thread may call it, and again: a peer that has not heard yet may take a flag back.
void DeviceSide::break_off() {
  if (trouble_ == nullptr) return;
  const std::lock_guard lock(break_mutex_);
  __atomic_store_n(&trouble_->abort, 1u, __ATOMIC_RELEASE);
  if (terms_.lane != LaneChoice::stream) return;
  constexpr int kCells = StreamRoad::kSlots + 1;
  // Further than anything that a stream may wait for, which is at most a few from where it stands.
  if (!broken_) device_->read(far_, road_.own_cells, sizeof far_);
  for (int cell = 0; cell < kCells && !broken_; ++cell)
    far_[cell].bits = device_signal(device_sequence(far_[cell].bits) + (1u << 30), 0);
  broken_ = true;
  for (int cell = 0; cell < kCells; ++cell)
    device_->write(road_.own_cells + cell, &far_[cell], sizeof far_[cell]);
}

DeviceSide::~DeviceSide() {
  if (window_ == nullptr) return;
  try {
    part();
  } catch (const std::exception&) {
    return;  // the device does not answer any more; what it holds goes with the process
  }
  sweep_leftovers();
}

// Waits for this rank's own work, says goodbye to all peers, and leaves its window to whoever looks
// next. What does not end is left where it is: memory that a kernel uses is never freed.
void DeviceSide::part() {
  const auto start = std::chrono::steady_clock::now();
  while (any_ && !device_->is_done(last_)) {
    if (std::chrono::steady_clock::now() - start > kEndsWithin) return;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  const Memory at(layout_, road_.slot_bytes);
  DeviceCell goodbye{};
  goodbye.bits = 1;
  for (int peer = 0; peer < size_; ++peer) {
    unsigned char* const window = windows_[index(peer)];
    if (window == nullptr) continue;
    device_->write(window + at.goodbyes + index(rank_) * kLine, &goodbye, sizeof goodbye);
    device_->close(facts_[index(peer)], window);
  }
  for (const Device::Event it : made_) device_->end_event(it);
  for (const Device::Event it :
       {last_, begin_, road_.received, road_.scratch_free[0], road_.scratch_free[1]})
    if (it != nullptr) device_->end_event(it);
  for (const Device::Stream it : {stream_, road_.out})
    if (it != nullptr) device_->end_stream(it);
  device_->free(own_);
  device_->free_trouble(trouble_);
  leave_window({device_, window_, at.goodbyes, rank_, size_});
}

}  // namespace ringside
