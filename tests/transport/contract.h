// The contract of comm/transport/transport.h as functions: each tries one promise on one transport
// and returns a verdict, which is empty when the promise holds and says what happened otherwise.
//
// They return and do not assert, because they are also run on transports that break the contract on
// purpose (tests/collectives/mutants.cc), where a verdict is what is expected.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "comm/options.h"
#include "comm/transport/transport.h"
#include "comm/util/secret.h"

namespace ringside::test {

// One transport under test. `make` gives one end, for a rank that knows `secret`; the checks make
// as many ends as they need.
struct TransportUnderTest {
  const char* name;
  std::function<std::unique_ptr<Transport>(const Secret& secret)> make;
  // Whether open() asks the owner. Where it does not (threads that share an address), no secret is
  // shown, and the owner must not be gone.
  bool asks_owner = true;
};

// Transport `shm` between threads that share one mapping: what tests use that need some transport.
TransportUnderTest shm_of_threads();
// The same with something around it.
TransportUnderTest around(const char* name, const Options::Decorate& decorate);

// Drives the transports until the cell's sequence is at least `sequence`; false when that takes
// more than 10 s. A check that plays both ends on one thread drives both.
bool wait_for(std::initializer_list<Transport*> ends, const Cell& cell, std::uint32_t sequence);

// What whoever does not go on to wait owes to the transport (promise 4). False after 10 s.
bool send_all(Transport& transport, const PeerWindow& window);

// Two ends of one transport, each with a window that the other has opened.
struct Pair {
  explicit Pair(const TransportUnderTest& it, std::size_t data_bytes, int cells = 8);
  std::unique_ptr<Transport> left, right;
  std::unique_ptr<Window> left_window, right_window;
  std::unique_ptr<PeerWindow> to_right, to_left;  // to_right: what the left end writes to
  // wait_for() on both ends, for a cell of the right one.
  bool arrives(int cell, std::uint32_t sequence) const {
    return wait_for({left.get(), right.get()}, right_window->cell(cell), sequence);
  }
};

std::string check_starts_zeroed(const TransportUnderTest& it);
std::string check_put_lands_exactly(const TransportUnderTest& it);
std::string check_payload(const TransportUnderTest& it);
// Promise 1: the data of every earlier put is there when the signal is.
std::string check_signal_after_put(const TransportUnderTest& it, int rounds);
// Promise 2, on one cell that is never waited for: seen values only grow.
std::string check_signals_only_grow(const TransportUnderTest& it, int rounds);
std::string check_cells_are_apart(const TransportUnderTest& it);
// Promise 3.
std::string check_put_frees_source(const TransportUnderTest& it, int rounds);
std::string check_two_writers(const TransportUnderTest& it, int rounds);
std::string check_outlives_owner(const TransportUnderTest& it);
// Promise 6, where zero-copy messages are taken: the bytes are those of the owner's memory, at one
// address for one zero-copy message; also after it was given back, and its owner has gone.
std::string check_zero_copy(const TransportUnderTest& it);
// What cannot be a zero-copy message is refused, with a sentence that names the rank.
std::string check_no_zero_copy(const TransportUnderTest& it);

// Asks for a zero-copy message until it is there. Throws what read() throws.
const std::byte* read_exposed_from(PeerWindow& owner, const ZeroCopyRef& ref, std::size_t bytes);

}  // namespace ringside::test
