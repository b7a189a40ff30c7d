// Pieces of a memory file, given out and taken back; the story is in window_file.h.
#include "comm/transport/shm/window_file.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <map>
#include <new>
#include <utility>

#include "comm/error.h"
#include "comm/util/process.h"

namespace ringside {
namespace {

constexpr const char* kNeedLess =
    "fewer or smaller slots (RINGSIDE_SLOT_BYTES, RINGSIDE_SLOT_COUNT) need less";

// The room costs addresses, not memory. Several groups of a rank at a time, as in a grid, each have
// windows no larger than their parent's.
constexpr std::size_t kRoomForSo = 16;

struct PieceHead {
  std::atomic<std::uint32_t> open{0};
  std::atomic<std::uint32_t> owned{1};
};
static_assert(sizeof(PieceHead) <= kPieceHeadBytes);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "processes share it");

PieceHead& head_of(const Mapping& mapping, std::size_t offset) {
  return *std::launder(reinterpret_cast<PieceHead*>(mapping.at() + offset));
}

// Where files or addresses are rationed (ulimit -f, -v), there is none: a group then has a file of
// its own.
std::size_t room_beside(std::size_t bytes) {
  for (const auto which : {RLIMIT_FSIZE, RLIMIT_AS}) {
    rlimit limit{};
    if (::getrlimit(which, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 0;
  }
  return bytes > SIZE_MAX / (2 * kRoomForSo) ? 0 : kRoomForSo * bytes;
}

// The mappings of this process's files, by number, for ranks that are threads of it. It belongs to
// the process as its address space does; the files in it come and go.
class LocalMappings {
 public:
  std::uint64_t add(const std::shared_ptr<Mapping>& mapping) {
    const std::lock_guard lock(mutex_);
    mappings_[++last_] = mapping;
    return last_;
  }
  void remove(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    mappings_.erase(number);
  }
  std::shared_ptr<Mapping> find(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = mappings_.find(number);
    return found == mappings_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Mapping>> mappings_;
  std::uint64_t last_ = 0;
};
constinit TableOfProcess<LocalMappings> local_mappings;

}  // namespace

WindowFile::WindowFile(std::size_t bytes, std::shared_ptr<FdServer> server, std::uint32_t id,
                       Deadline deadline)
    : server_(std::move(server)),
      id_(id),
      memory_(make_sealed_memory(bytes, kNeedLess, deadline, room_beside(bytes))) {
  number_ = local_mappings.get().add(memory_.mapping);
  if (server_) server_->offer(id_, memory_.fd.get());
}

WindowFile::~WindowFile() {
  if (server_) server_->withdraw(id_);
  local_mappings.get().remove(number_);
}

std::shared_ptr<Mapping> WindowFile::mapping_here(std::uint64_t number) {
  return local_mappings.get().find(number);
}

// First fit, and pieces are never cut: a rank's groups are mostly of one size, again and again.
std::optional<std::size_t> WindowFile::take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  free_what_nobody_uses();
  for (Piece& piece : pieces_) {
    if (piece.state != Piece::free || piece.bytes < bytes) continue;
    return own(piece);
  }
  const std::size_t end = pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().bytes;
  if (bytes > mapping().bytes() - end) return std::nullopt;
  return own(pieces_.emplace_back(Piece{end, bytes, Piece::free}));
}

std::size_t WindowFile::own(Piece& piece) {
  new (mapping().at() + piece.offset) PieceHead;
  piece.state = Piece::owned;
  return piece.offset;
}

void WindowFile::give_back(std::size_t offset) {
  const std::lock_guard lock(mutex_);
  head_of(mapping(), offset).owned.store(0, std::memory_order_relaxed);
  for (Piece& piece : pieces_)
    if (piece.offset == offset) piece.state = Piece::let_go;
  free_what_nobody_uses();
}

// Their pages go back to the system, and read as zeros from then on.
void WindowFile::free_what_nobody_uses() {
  for (Piece& piece : pieces_) {
    if (piece.state != Piece::let_go) continue;
    if (head_of(mapping(), piece.offset).open.load(std::memory_order_acquire) != 0) continue;
    std::byte* at = mapping().at() + piece.offset;
    if (::madvise(at, piece.bytes, MADV_REMOVE) != 0) std::memset(at, 0, piece.bytes);
    piece.state = Piece::free;
  }
  while (!pieces_.empty() && pieces_.back().state == Piece::free) pieces_.pop_back();
}

OpenPiece::OpenPiece(std::shared_ptr<Mapping> mapping, std::size_t offset, int owner)
    : mapping_(std::move(mapping)), offset_(offset) {
  if (head_of(*mapping_, offset_).owned.load(std::memory_order_relaxed) == 0)
    throw_error(Fault::left, "rank %d's shared memory is gone", owner);
  head_of(*mapping_, offset_).open.fetch_add(1, std::memory_order_relaxed);
}

// The release orders all that was written before it: the piece's next owner zeroes it after that.
OpenPiece::~OpenPiece() {
  head_of(*mapping_, offset_).open.fetch_sub(1, std::memory_order_release);
}

}  // namespace ringside
