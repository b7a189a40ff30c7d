// What each fault does, where it does it, and how it is asked for; the list is in the header.
#include "tools/support/fault_injection.h"

#include <signal.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "comm/error.h"
#include "comm/peers/peers.h"
#include "tools/support/command_line.h"
#include "tools/support/faulty_transport.h"

namespace ringside {
namespace {

using What = Injection::What;
using std::chrono::milliseconds;

// --- how it is asked for ---

struct Named {
  What what;
  const char* name;
  bool has_op, has_step, has_ms;
  std::uint64_t first_step;  // where none is said
};
constexpr std::array kNamed = {
    Named{What::stall, "stall", true, true, false, 0},
    Named{What::slow, "slow", true, true, true, 0},
    Named{What::die, "die", true, true, false, 0},
    Named{What::drop_signal, "drop-signal", true, true, false, 1},
    Named{What::corrupt_header, "corrupt-header", true, true, false, 1},
    Named{What::other_op, "other-op", true, false, false, 0},
    Named{What::refuse, "refuse", false, false, false, 0},
    Named{What::no_memory, "no-memory", false, false, false, 0},
};

[[noreturn]] void refuse_words(const std::string& words, const std::string& why) {
  throw Error(Fault::usage, text("fault %s: %s", words.c_str(), why.c_str()));
}

const Named& find_named(const std::string& name, const std::string& words) {
  for (const Named& it : kNamed)
    if (name == it.name) return it;
  const auto name_of_it = [](const Named& it) { return it.name; };
  refuse_words(words, "there is none of this name; there are " +
                          tools::list_choices(kNamed, nullptr, name_of_it, ", ") +
                          ", each as NAME:rank=R, most with op=K, and some with step=S");
}

std::string keys_of(const Named& named) {
  std::string keys = "rank=";
  if (named.has_op) keys += ", op=";
  if (named.has_step) keys += ", step=";
  if (named.has_ms) keys += ", ms=";
  return keys;
}

// One "key=number".
void read_pair(const std::string& pair, const Named& named, const std::string& words,
               Injection& it) {
  const std::size_t equals = pair.find('=');
  const std::string key = pair.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : pair.substr(equals + 1);
  std::uint32_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, number);
  const bool is_number = error == std::errc() && stop == end && number <= 1'000'000'000;
  if (key == "rank" && is_number) {
    it.rank = static_cast<int>(number);
  } else if (key == "op" && named.has_op && is_number && number > 0) {
    it.op = number;
  } else if (key == "step" && named.has_step && is_number && number >= named.first_step) {
    it.step = number;
  } else if (key == "ms" && named.has_ms && is_number) {
    it.ms = static_cast<int>(number);
  } else {
    refuse_words(words, text("'%s' is not understood; %s takes %s, with whole numbers, op from 1 "
                             "and step from %d",
                             pair.c_str(), named.name, keys_of(named).c_str(),
                             static_cast<int>(named.first_step)));
  }
}

// --- what it does ---

// One rank's fault, and how far the rank is from it. Used by one thread at a time, as a
// communicator is.
class Injector {
 public:
  Injector(const Injection& it, const Options& options, int size)
      : it_(it),
        plan_(WindowLayout::make(size, options.slot_bytes, options.slot_count)),
        interrupted_(options.interrupted) {}

  // A collective begins. What it says it is may be changed; what is carried out stays as it is.
  void enter(std::uint64_t number, Operation& what) {
    if (!begins(number, 1)) return;
    if (it_.what == What::other_op)
      what.kind = what.kind == Kind::barrier ? Kind::all_gather : Kind::barrier;
    else
      misbehave();
  }

  // Messages begin, all together. With them nobody can call something else.
  void enter_messages(std::uint64_t first_number, std::size_t count) {
    if (begins(first_number, count)) misbehave();
  }

  // A signal is about to be sent, and may be changed. False: it is lost.
  bool pass(int cell, Signal& value) {
    const bool is_message = cell != WindowLayout::kAlarmCell && !plan_.is_credit_cell(cell);
    if (!is_message || !inside_ || ++messages_ != it_.step) return true;
    if (it_.what == What::drop_signal) return false;
    if (it_.what == What::corrupt_header)
      value.fingerprint ^= 0xffffu;
    else
      misbehave();
    return true;
  }

  void check_expose(std::size_t bytes) const {
    if (it_.what != What::no_memory) return;
    errno = ENOMEM;
    throw_system(text("cannot allocate %zu bytes of shared memory", bytes));
  }
  void check_open(int peer) const {
    if (it_.what != What::refuse) return;
    errno = EACCES;
    throw_system(text("cannot open the window of rank %d", peer));
  }

  // The rank's own windows. The first one has its status page and its alarm.
  void watch(const Window& window) {
    if (window_ == nullptr) window_ = &window;
  }
  // True for the transports of the first communicator. Groups are split off by calls of it.
  bool take() const { return !called_; }

 private:
  // Whether it is to happen here and now, before any message.
  bool begins(std::uint64_t first_number, std::size_t count) {
    called_ = true;
    inside_ = it_.op >= first_number && it_.op - first_number < count;
    messages_ = 0;
    return inside_ && it_.step == 0;
  }

  void misbehave() {
    if (it_.what == What::die) ::raise(SIGKILL);
    if (it_.what == What::stall) stand_still(std::nullopt);
    if (it_.what == What::slow) stand_still(milliseconds(it_.ms));
  }

  // As a rank would that computes, sleeps or loops for ever. Only what must end it does: its time,
  // SIGTERM, and the end of the communicator. What follows in the call then ends in an error.
  void stand_still(std::optional<milliseconds> how_long) {
    StatusPage& status_page = *reinterpret_cast<StatusPage*>(window_->data());
    status_page.note_wait_over();  // it may have had a wait behind it, in which it sends
    const auto start = std::chrono::steady_clock::now();
    const auto ends = [&] {
      if (how_long && std::chrono::steady_clock::now() - start >= *how_long) return true;
      if (interrupted_ != nullptr && interrupted_->load(std::memory_order_relaxed) != 0)
        return true;
      return status_page.state() == RankState::broken ||
             window_->cell(WindowLayout::kAlarmCell).acquire().sequence != 0;
    };
    while (!ends()) std::this_thread::sleep_for(milliseconds(1));
  }

  Injection it_;
  WindowLayout plan_;
  const std::atomic<int>* interrupted_;
  const Window* window_ = nullptr;
  bool called_ = false;         // anything yet
  bool inside_ = false;         // the call that is meant
  std::uint64_t messages_ = 0;  // sent in it
};

// --- where it does it ---

class InjectedPeerWindow : public PeerWindowAround {
 public:
  InjectedPeerWindow(std::unique_ptr<PeerWindow> inner, std::shared_ptr<Injector> injector)
      : PeerWindowAround(std::move(inner)), injector_(std::move(injector)) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (injector_->pass(cell, value)) inner_->signal(cell, value, payload, payload_bytes);
  }
  std::byte* mapped() const override { return inner_->mapped(); }

 private:
  std::shared_ptr<Injector> injector_;
};

class InjectedTransport : public TransportAround {
 public:
  InjectedTransport(std::unique_ptr<Transport> inner, std::shared_ptr<Injector> injector)
      : TransportAround(std::move(inner),
                        [injector](std::unique_ptr<PeerWindow> window) {
                          return std::make_unique<InjectedPeerWindow>(std::move(window), injector);
                        }),
        injector_(injector) {}
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count,
                                 Deadline deadline) override {
    injector_->check_expose(data_bytes);
    std::unique_ptr<Window> window = TransportAround::expose(data_bytes, cell_count, deadline);
    injector_->watch(*window);
    return window;
  }
  std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle,
                                   Deadline deadline) override {
    injector_->check_open(peer);
    return TransportAround::open(peer, handle, deadline);
  }

 private:
  std::shared_ptr<Injector> injector_;
};

}  // namespace

Injection parse_injection(const std::string& words) {
  const std::size_t colon = words.find(':');
  const Named& named = find_named(words.substr(0, colon), words);
  Injection it{.what = named.what, .step = named.first_step};
  bool has_rank = false;
  if (colon != std::string::npos)
    for (const std::string& pair : tools::split_at_commas(words.substr(colon + 1))) {
      read_pair(pair, named, words, it);
      has_rank = has_rank || pair.starts_with("rank=");
    }
  if (!has_rank)
    refuse_words(words, text("it is not said whose; say %s:rank=0, or another rank", named.name));
  return it;
}

void inject(Options& options, const Injection& injection, const Bootstrap& bootstrap) {
  if (injection.rank >= bootstrap.size())
    throw Error(Fault::usage, text("a fault on rank %d cannot be had; there are ranks 0 to %d",
                                   injection.rank, bootstrap.size() - 1));
  if (injection.what == What::die && std::strcmp(bootstrap.name(), "threads") == 0)
    throw Error(Fault::usage,
                "a rank that is a thread cannot die alone; for the fault die start the ranks as "
                "processes (tools/launch -n 4, or mpirun)");
  if (injection.rank != bootstrap.rank()) return;
  const auto injector = std::make_shared<Injector>(injection, options, bootstrap.size());
  options.decorate = [injector, before = options.decorate](std::unique_ptr<Transport> inner) {
    if (before) inner = before(std::move(inner));
    if (injector->take()) inner = std::make_unique<InjectedTransport>(std::move(inner), injector);
    return inner;
  };
  options.on_call = [injector](std::uint64_t number, Operation& what) {
    injector->enter(number, what);
  };
  options.on_messages = [injector](std::uint64_t first_number, std::size_t count) {
    injector->enter_messages(first_number, count);
  };
}

}  // namespace ringside
