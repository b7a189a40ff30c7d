// Where a rank's windows lie: a memory file that is longer than what is in it.
//
//     | window | a group's window | another's |  room: no pages, and so no memory, yet  |
//
// The first window is made whole, page by page, before anybody uses it. A later one, of a group
// that was split off, takes a piece of the room. That costs no descriptor, no request and no
// mapping, as peers have mapped all of the file; its pages are made when they are first written to.
//
// A piece begins with a count of the peers that have it open, and says whether it still has an
// owner. It goes to another window only when
// its owner has let go of it and nobody has it open: what a late peer still writes must not arrive
// in a window of others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "comm/transport/shm/fd_server.h"
#include "comm/transport/shm/sealed_memory.h"

namespace ringside {

class WindowFile {
 public:
  // With a first piece of `bytes`, and room for more of that size. `server`, if any, hands it to
  // other processes as `id`. Throws Error{system, timeout}.
  WindowFile(std::size_t bytes, std::shared_ptr<FdServer> server, std::uint32_t id,
             Deadline deadline);
  ~WindowFile();
  WindowFile(const WindowFile&) = delete;
  WindowFile& operator=(const WindowFile&) = delete;

  // Where a zeroed piece of so many bytes begins; nothing if there is no room for it.
  std::optional<std::size_t> take(std::size_t bytes);
  void give_back(std::size_t offset);

  const Mapping& mapping() const { return *memory_.mapping; }
  std::uint64_t number() const { return number_; }
  std::uint32_t id() const { return id_; }

  // The mapping of a file of this process, by its number; null when the file is gone.
  static std::shared_ptr<Mapping> mapping_here(std::uint64_t number);

 private:
  struct Piece {
    std::size_t offset;
    std::size_t bytes;
    enum { free, owned, let_go } state;
  };
  std::size_t own(Piece& piece);
  void free_what_nobody_uses();

  std::shared_ptr<FdServer> server_;
  const std::uint32_t id_;
  SealedMemory memory_;
  std::uint64_t number_ = 0;
  std::mutex mutex_;  // guards pieces_: a group may be used by another thread than its parent
  std::vector<Piece> pieces_;
};

// A peer's piece, held open.
class OpenPiece {
 public:
  // `mapping`: of the whole file, at least the first line of the piece inside. Throws Error{left}
  // if rank `owner` has let go of it.
  OpenPiece(std::shared_ptr<Mapping> mapping, std::size_t offset, int owner);
  ~OpenPiece();
  OpenPiece(const OpenPiece&) = delete;
  OpenPiece& operator=(const OpenPiece&) = delete;

  std::byte* at() const { return mapping_->at() + offset_; }

 private:
  const std::shared_ptr<Mapping> mapping_;
  const std::size_t offset_;
};

// At the head of a piece.
inline constexpr std::size_t kPieceHeadBytes = 64;

}  // namespace ringside
