// The one model of communication: one-sided. Two nouns and three verbs.
//
//     this rank                                    a peer
//     ┌────────────────┐      put, signal          ┌────────────────┐
//     │  PeerWindow  ──┼──────────────────────────▶│  Window        │
//     └────────────────┘                           │  data │ cells  │◀── wait
//                                                  └────────────────┘
//
// A *window* is memory of this rank that peers may write: bytes of data and a row of signal cells.
// A *peer window* is the far end of somebody else's window. `put` moves bytes into it, `signal`
// sets one of its cells, and its owner waits on the cell. The library has one transport, shared
// memory (shm/); sockets and RDMA queue pairs are to come. Each is held to the same contract
// (tests/transport/transport.cc), and so is one that exists only for tests and behaves as a network
// does.
//
// Where peers can map a rank's own memory (allocate.h), a message may be a *zero-copy message*: it
// says where the bytes lie, and its receiver reads them there. Nothing is put.
//
// The contract
//   1. A signal is seen only after every earlier put of the same PeerWindow is visible to the
//      waiter.
//   2. Signals of one cell are seen in the order in which they were made; some may be skipped.
//   3. put and signal do not wait. When they return, their source may be reused: what cannot leave
//      yet has been copied. (A channel's credit bounds how much that can be.)
//   4. A transport is *driven* if it moves bytes and signals, outgoing and incoming, in progress()
//      alone. Whoever waits calls progress() of the driven ones before each look, from the first
//      look on, and before a call of the communicator returns, until all_sent(). So what a call has
//      put and signalled is on its way when the call is over, and gets there even if this rank then
//      computes for a minute; that call may have to wait for a peer to take some of it. The others
//      need no help.
//   5. A window's memory starts zeroed, its data and each of its cells on a cache line. An opened
//      PeerWindow stays usable (if pointless) after its owner has gone: writing into it never
//      faults, and all of it counts as sent.
//   6. What read_exposed() returned stays readable until the next one, even if its owner has gone.
//      Whoever exposed it does not write there before it is known to have been read; the transport
//      does not see to that.
//   7. What was all_sent() arrives even if its sender then leaves. A rank that learns of the
//      leaving sooner than of the data drives the transport until all_received().
//
// A transport and its windows are used by one thread at a time, except that a signal over mapped
// memory may be made by another (an alarm).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "comm/error.h"
#include "comm/transport/signal.h"
#include "comm/transport/stores.h"
#include "comm/util/deadline.h"

namespace ringside {

// Memory of one rank that others can read: the number of an allocation, and a byte in it. 0: none.
struct ZeroCopyRef {
  std::uint64_t allocation = 0;
  std::uint64_t offset_bytes = 0;
};

// A zero-copy message that could be made, and how many bytes it could be of at most.
struct Exposable {
  ZeroCopyRef from;
  std::size_t bytes = 0;
};

// What a rank hands out so that others can open its window: bytes, to be moved by any bootstrap.
struct WindowHandle {
  std::array<std::byte, 64> bytes{};
};

// This rank's own end. `data` and `cells` point to memory that peers write.
class Window {
 public:
  virtual ~Window() = default;
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Cell& cell(int index) const { return cells_[index]; }
  int cells() const { return cell_count_; }
  const WindowHandle& handle() const { return handle_; }

 protected:
  Window() = default;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Cell* cells_ = nullptr;
  int cell_count_ = 0;
  WindowHandle handle_;
};

// The far end of a peer's window.
class PeerWindow {
 public:
  virtual ~PeerWindow() = default;

  // Copies `bytes` from `source` to the peer's data at `offset_bytes`. The range lies inside the
  // window. The source may be reused at once.
  virtual void put(std::size_t offset_bytes, const void* source, std::size_t bytes) = 0;

  // Sets a cell of the peer. Up to kInlineBytes of payload travel with it, in the cell's own line.
  virtual void signal(int cell, Signal value, const void* payload = nullptr,
                      std::size_t payload_bytes = 0) = 0;

  // Has everything that was put and signalled left this rank? Not: has it arrived.
  virtual bool all_sent() const { return true; }

  // Has everything arrived here that the peer has sent? Asked once the peer is known to have left.
  virtual bool all_received() const { return true; }

  // Where loads and stores of this rank reach the peer's data: a pointer. Elsewhere: null.
  virtual std::byte* mapped() const { return nullptr; }

  // How this rank's stores to memory that the peer reads are made best: copies (put does so), and
  // what a reduction or a copy from another peer stores.
  StoreChooser& puts() { return puts_; }
  StoreChooser& results() { return results_; }

  // Can the peer read, where it lies, what this rank exposes?
  virtual bool takes_zero_copy() const { return false; }

  // Where `bytes` bytes that the peer has exposed can be read by this rank. Null if that takes a
  // while (an allocation's first zero-copy message: its owner is asked for it): call it again. Does
  // not wait. Throws Error{protocol} for what cannot be a zero-copy message, Error{system} where it
  // cannot be had.
  virtual const std::byte* read_exposed(const ZeroCopyRef& ref, std::size_t bytes) {
    throw_error(Fault::protocol,
                "a zero-copy message of %zu bytes (allocation %llu) came over a transport "
                "that has none",
                bytes, static_cast<unsigned long long>(ref.allocation));
  }

 private:
  StoreChooser puts_, results_;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // The name that a table of edges prints: "shm".
  virtual const char* name() const = 0;

  // Makes a zeroed window of this rank. The transport allocates the memory itself, because not
  // every kind of memory can be shown to a peer (shared memory cannot show what malloc returned).
  // Throws Error{system} when the memory cannot be had, Error{timeout} when that takes too long.
  virtual std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count,
                                         Deadline deadline = Deadline::never()) = 0;

  // Opens a peer's window from its handle. The peer keeps its Window alive until everybody has
  // opened it. Throws Error{system, timeout}.
  virtual std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle,
                                           Deadline deadline) = 0;

  // A transport for some of these ranks, which may be used by another thread and outlive this one,
  // and shares with it what took time to set up. Null where nothing can be shared.
  virtual std::unique_ptr<Transport> for_group() { return nullptr; }

  // Does anything move in progress() alone? It does not change, so it is asked once. Memory needs
  // no help; sockets do.
  virtual bool is_driven() const { return false; }

  // Moves what can be moved, in both directions, without waiting.
  virtual void progress() {}
};

}  // namespace ringside
