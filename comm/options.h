// What a user may choose about a communicator, each with its environment twin.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/algorithm.h"

namespace ringside {

class Trace;
struct Route;
class Transport;
struct Operation;

// How a rank learns that another is late, dead or different (control.h).
enum class ControlChoice { automatic, shared, socket };
const char* name_of(ControlChoice choice);

// How stores reach memory that a peer reads (transport/stores.h).
enum class StoreChoice { automatic, cached, streaming };
const char* name_of(StoreChoice choice);

// Who carries out a call whose buffers are a device's (device_side.h). Each can do what those
// before it can.
enum class ExecutorChoice { automatic, host, stream, device };
const char* name_of(ExecutorChoice choice);

// What carries out calls on device memory ("device", "stream", "host"), and why, as a sentence.
struct ExecutorInUse {
  const char* name;
  std::string why;
  Algorithm algorithm = Algorithm::automatic;  // of one call
};

class Device;

inline constexpr std::size_t kMinSlotBytes = 8;  // one element of the widest type
inline constexpr std::size_t kMaxSlotBytes = std::size_t{64} << 20;
inline constexpr int kMaxSlots = 64;

struct Options {
  // How much of a chunk travels in one message, and how many messages may be under way on one edge.
  // They decide how fast a call is, never which bits it computes. All ranks must choose alike.
  std::size_t slot_bytes = std::size_t{128} << 10;  // RINGSIDE_SLOT_BYTES=131072 (or 128K, 1M)
  int slot_count = 4;                               // RINGSIDE_SLOT_COUNT=4
  // RINGSIDE_ALGORITHM=auto|ring|one-shot|two-shot, or hierarchical:4 for groups of 4 ranks, whose
  // order of additions is another (algorithms/hierarchical.h).
  Algorithm algorithm = Algorithm::automatic;
  int group_ranks = 0;  // of hierarchical; 0 with any other

  // automatic: shared where the ranks' memory is mapped, else socket. All ranks must choose alike.
  ControlChoice control = ControlChoice::automatic;  // RINGSIDE_CONTROL=auto|shared|socket

  // Buffers from this size on are written past the caches where nothing reads them again in the
  // call (kernels/loops.h: copy_bytes_streaming). Each rank may choose for itself.
  std::size_t stream_from_bytes = std::size_t{16} << 20;  // RINGSIDE_STREAM_FROM=16M

  // Stores to memory that a peer reads go through the caches or past them; automatic: by what they
  // take, as they are made. Each rank may choose for itself.
  StoreChoice stores = StoreChoice::automatic;  // RINGSIDE_STORES=auto|cached|streaming

  // Pieces from this size on are not copied into a slot where they lie in memory from allocate()
  // (allocate.h): the receiver reads them there. Each rank may choose for itself.
  std::size_t zero_copy_from_bytes = std::size_t{8} << 10;  // RINGSIDE_ZERO_COPY_FROM=8K, or never

  // Who carries out calls on device memory. An executor that the devices do not allow is not taken;
  // Communicator::device_executor() says which is, and why. All ranks must choose alike.
  ExecutorChoice executor = ExecutorChoice::automatic;  // RINGSIDE_EXECUTOR=auto|host|stream|device
  std::size_t device_slot_bytes = std::size_t{64} << 10;  // of each block's connections
  std::size_t stream_slot_bytes = std::size_t{8} << 20;   // of the stream executor's

  // A wait longer than this breaks the communicator with a sentence. 0: wait for ever.
  double timeout_s = 600;  // RINGSIDE_TIMEOUT=600

  // A wait longer than this is reported, once, by the rank that waits for the late one itself; the
  // call, or the start, goes on. 0: never. `on_warning` gets the sentence, on the waiting thread;
  // without one it goes to stderr.
  double warn_s = 10;  // RINGSIDE_WARN=10
  std::function<void(const std::string&)> on_warning;

  // A folder that is there: flight records (flight_record.h) are written into it when a call fails
  // and on SIGUSR1. Empty: none are.
  std::string flight_folder;  // RINGSIDE_FLIGHT=FOLDER

  // When set and non-zero, waits end with Error{interrupted}: the number of the signal that a
  // program's own handler noted. ringside installs no handlers.
  const std::atomic<int>* interrupted = nullptr;

  // Tests put a table of transports of their own in place of the library's (peers/routes.h) here.
  std::shared_ptr<const std::vector<Route>> routes;

  // Tests put a decorator around each transport in use here.
  using Decorate = std::function<std::unique_ptr<Transport>(std::unique_ptr<Transport>)>;
  Decorate decorate;

  // Tests put a device of their own here, in place of the one that is current.
  std::function<std::shared_ptr<Device>()> device;

  // Told of each collective before it begins: its number among the communicator's calls, and what
  // it will say it is, which may be changed. For tests and faults (fault_injection.h); groups that
  // are split off do not inherit it.
  std::function<void(std::uint64_t number, Operation& what)> on_call;
  // The same for a send, a recv, or an exchange as a whole: its messages have the numbers
  // first_number, …, first_number + count − 1.
  std::function<void(std::uint64_t first_number, std::size_t count)> on_messages;

  // When set, what this rank does is noted there (trace.h): one communicator's calls, steps and
  // waits. It must live longer than the communicator. Groups that are split off do not inherit it.
  Trace* trace = nullptr;

  // What from_environment() could not read, as a sentence. Empty: nothing.
  std::string refused;

  // The defaults, with what the environment says instead. Does not throw: a rank that threw here
  // would leave the others waiting for it. It comes to the first meeting with what it could not
  // read, and there all ranks fail with one sentence.
  static Options from_environment();

  // Throws Error{usage} if something was refused or a value is out of range.
  void check() const;
};

// "65536", "64K", "1M", "2G" (powers of 1024). False if the text is anything else.
bool parse_bytes(const char* words, std::size_t& bytes);

}  // namespace ringside
