// Outboxes, wires and what takes bytes off them; the picture is in the header.
#include "tests/transport/network_transport.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "comm/error.h"

namespace ringside::test {
namespace {

constexpr std::uint32_t kMostBytesAtOnce = 1000;

// What precedes the bytes of a put, or the payload of a signal.
struct Head {
  bool is_signal;
  std::uint32_t cell;
  std::uint64_t offset_bytes;
  std::uint64_t signal;
  std::uint64_t bytes;
};

// One direction between two ranks.
struct Wire {
  explicit Wire(std::uint64_t from) : sender(from) {}
  const std::uint64_t sender;  // the transport's number
  std::mutex mutex;
  std::vector<std::byte> bytes;
  std::atomic<std::size_t> on_it{0};  // bytes.size(), for a look without the lock
  std::atomic<bool> closed{false};    // the receiver has gone
};

// What a window is known by in the whole process, to those who open it.
struct Port {
  explicit Port(std::uint64_t it) : owner(it) {}
  const std::uint64_t owner;  // the transport's number
  std::mutex mutex;
  std::vector<std::shared_ptr<Wire>> wires;
  bool closed = false;
};

class Ports {
 public:
  static Ports& of_this_process() {
    static Ports ports;
    return ports;
  }
  std::uint64_t add(const std::shared_ptr<Port>& port) {
    const std::lock_guard lock(mutex_);
    ports_[++last_] = port;
    return last_;
  }
  void remove(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    ports_.erase(number);
  }
  std::shared_ptr<Port> find(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = ports_.find(number);
    return found == ports_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Port>> ports_;
  std::uint64_t last_ = 0;
};

// Numbers without a pattern: how much moves at once, and whether now or later.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(static_cast<std::uint32_t>(seed) * 2654435761u) {}
  std::uint32_t below(std::uint32_t end) {
    state_ = state_ * 1664525u + 1013904223u;
    return (state_ >> 8) % end;
  }

 private:
  std::uint32_t state_;
};

// What a sender could not put on the wire yet.
class Outbox {
 public:
  explicit Outbox(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}

  void add(const Head& head, const void* source) {
    append(&head, sizeof head);
    if (head.bytes > 0) append(source, head.bytes);
  }
  bool empty() const { return bytes_.empty() || wire_->closed; }

  void send(Chance& chance) {
    if (bytes_.empty()) return;
    const std::lock_guard lock(wire_->mutex);
    const std::size_t room = kWireBytes - wire_->bytes.size();
    const std::size_t wanted = 1 + chance.below(kMostBytesAtOnce);
    const std::size_t count = std::min({room, wanted, bytes_.size() - sent_});
    const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(sent_);
    wire_->bytes.insert(wire_->bytes.end(), first, first + static_cast<std::ptrdiff_t>(count));
    wire_->on_it = wire_->bytes.size();
    sent_ += count;
    if (sent_ < bytes_.size() && !wire_->closed) return;
    bytes_.clear();
    sent_ = 0;
  }

 private:
  void append(const void* source, std::size_t bytes) {
    const auto* first = static_cast<const std::byte*>(source);
    bytes_.insert(bytes_.end(), first, first + bytes);
  }
  std::shared_ptr<Wire> wire_;
  std::vector<std::byte> bytes_;
  std::size_t sent_ = 0;
};

class NetworkWindow : public Window {
 public:
  NetworkWindow(std::size_t data_bytes, int cell_count, std::shared_ptr<Port> port)
      : port_(std::move(port)),
        number_(Ports::of_this_process().add(port_)),
        memory_((data_bytes + kLineBytes - 1) / kLineBytes),
        lines_(std::make_unique<Cell[]>(static_cast<std::size_t>(cell_count))) {
    data_ = reinterpret_cast<std::byte*>(memory_.data());
    bytes_ = data_bytes;
    cells_ = lines_.get();
    cell_count_ = cell_count;
    for (int i = 0; i < cell_count; ++i)
      std::memset(lines_[static_cast<std::size_t>(i)].payload, 0, kInlineBytes);
    std::memcpy(handle_.bytes.data(), &number_, sizeof number_);
  }
  ~NetworkWindow() override {
    Ports::of_this_process().remove(number_);
    const std::lock_guard lock(port_->mutex);
    port_->closed = true;
    for (const std::shared_ptr<Wire>& wire : port_->wires) wire->closed = true;
  }

 private:
  std::shared_ptr<Port> port_;
  std::uint64_t number_;
  struct alignas(kLineBytes) Line {
    std::byte bytes[kLineBytes];
  };
  std::vector<Line> memory_;
  std::unique_ptr<Cell[]> lines_;
};

// A wire's other end: what has come of a put or signal, until all of it has.
class Inbox {
 public:
  explicit Inbox(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  const Wire& wire() const { return *wire_; }

  void receive(Window& window, Chance& chance) {
    if (wire_->on_it == 0 || is_late(chance)) return;
    {
      const std::lock_guard lock(wire_->mutex);
      const std::size_t count =
          std::min<std::size_t>(wire_->bytes.size(), 1 + chance.below(kMostBytesAtOnce));
      const auto first = wire_->bytes.begin();
      come_.insert(come_.end(), first, first + static_cast<std::ptrdiff_t>(count));
      wire_->bytes.erase(first, first + static_cast<std::ptrdiff_t>(count));
      wire_->on_it = wire_->bytes.size();
    }
    while (take_one(window)) {
    }
  }

 private:
  // Often for one look, and now and then for longer than a rank spins and yields.
  bool is_late(Chance& chance) {
    if (Clock::now() < late_until_) return true;
    if (chance.below(100) == 0) late_until_ = Clock::now() + std::chrono::milliseconds(1);
    return chance.below(3) == 0;
  }

  bool take_one(Window& window) {
    Head head;
    if (come_.size() < sizeof head) return false;
    std::memcpy(&head, come_.data(), sizeof head);
    if (come_.size() - sizeof head < head.bytes) return false;
    Cell* cell = head.is_signal ? &window.cell(static_cast<int>(head.cell)) : nullptr;
    std::byte* target = cell != nullptr ? cell->payload : window.data() + head.offset_bytes;
    if (head.bytes > 0) std::memcpy(target, come_.data() + sizeof head, head.bytes);
    if (cell != nullptr) cell->release(unpack(head.signal));
    come_.erase(come_.begin(),
                come_.begin() + static_cast<std::ptrdiff_t>(sizeof head + head.bytes));
    return true;
  }

  std::shared_ptr<Wire> wire_;
  std::vector<std::byte> come_;
  Clock::time_point late_until_{};
};

// A window of this rank, and what is on its way into it. Shared by the transport and whoever asks
// whether all of it has come.
struct Arrivals {
  std::shared_ptr<Port> port;
  Window* window = nullptr;
  std::vector<Inbox> inboxes;

  void receive(Chance& chance) {
    const std::lock_guard lock(port->mutex);
    if (port->closed) return;
    for (std::size_t i = inboxes.size(); i < port->wires.size(); ++i)
      inboxes.emplace_back(port->wires[i]);
    for (Inbox& it : inboxes) it.receive(*window, chance);
  }
  bool is_all_here_from(std::uint64_t sender) const {
    const std::lock_guard lock(port->mutex);
    return std::all_of(port->wires.begin(), port->wires.end(), [&](const auto& wire) {
      return wire->sender != sender || wire->on_it == 0;
    });
  }
};
using AllArrivals = std::vector<Arrivals>;

class NetworkPeerWindow : public PeerWindow {
 public:
  NetworkPeerWindow(std::uint64_t owner, std::shared_ptr<Outbox> outbox,
                    std::shared_ptr<const AllArrivals> arrivals)
      : owner_(owner), outbox_(std::move(outbox)), arrivals_(std::move(arrivals)) {}
  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    outbox_->add({false, 0, offset_bytes, 0, bytes}, source);
  }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    outbox_->add({true, static_cast<std::uint32_t>(cell), 0, pack(value), payload_bytes}, payload);
  }
  bool all_sent() const override { return outbox_->empty(); }
  bool all_received() const override {
    return std::all_of(arrivals_->begin(), arrivals_->end(),
                       [&](const Arrivals& it) { return it.is_all_here_from(owner_); });
  }

 private:
  std::uint64_t owner_;
  std::shared_ptr<Outbox> outbox_;
  std::shared_ptr<const AllArrivals> arrivals_;
};

class NetworkTransport : public Transport {
 public:
  const char* name() const override { return "network"; }
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count, Deadline) override {
    auto port = std::make_shared<Port>(number_);
    auto window = std::make_unique<NetworkWindow>(data_bytes, cell_count, port);
    arrivals_->push_back({port, window.get(), {}});
    return window;
  }
  std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle, Deadline) override {
    std::uint64_t port_number = 0;
    std::memcpy(&port_number, handle.bytes.data(), sizeof port_number);
    const std::shared_ptr<Port> port = Ports::of_this_process().find(port_number);
    if (!port) throw Error(Fault::left, text("rank %d's window is gone", peer));
    auto wire = std::make_shared<Wire>(number_);
    outboxes_.push_back(std::make_shared<Outbox>(wire));
    const std::lock_guard lock(port->mutex);
    wire->closed = port->closed;
    port->wires.push_back(std::move(wire));
    return std::make_unique<NetworkPeerWindow>(port->owner, outboxes_.back(), arrivals_);
  }
  bool is_driven() const override { return true; }
  void progress() override {
    for (Arrivals& it : *arrivals_) it.receive(chance_);
    for (const std::shared_ptr<Outbox>& it : outboxes_) it->send(chance_);
  }

 private:
  static std::uint64_t next_number() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }
  const std::uint64_t number_ = next_number();
  Chance chance_{number_};
  std::shared_ptr<AllArrivals> arrivals_ = std::make_shared<AllArrivals>();
  std::vector<std::shared_ptr<Outbox>> outboxes_;
};

// --- how it joins ---

Route network_row() {
  return {"network",
          [](const PeerInfo& a, const PeerInfo& b) {
            return Reach{a.process == b.process, "a network within one process"};
          },
          [](const Secret&, const std::vector<PeerInfo>&) { return make_network_transport(); }};
}

template <class HostOf>
std::shared_ptr<const Routes> routes_by(HostOf host_of) {
  Routes routes = all_routes();
  for (Route& row : routes)
    row.reach = [host_of, reach = row.reach](const PeerInfo& a, const PeerInfo& b) {
      return host_of(a.rank) == host_of(b.rank) ? reach(a, b)
                                                : Reach{false, "on different pretended hosts"};
    };
  routes.push_back(network_row());
  return std::make_shared<const Routes>(std::move(routes));
}

std::shared_ptr<const Routes>& current() {
  static std::shared_ptr<const Routes> routes;
  return routes;
}

}  // namespace

std::unique_ptr<Transport> make_network_transport() { return std::make_unique<NetworkTransport>(); }

const std::vector<NetworkRig>& rigs() {
  static const std::vector<NetworkRig> all = {
      {"each rank on its own host", routes_by([](int rank) { return rank; })},
      {"hosts of two ranks", routes_by([](int rank) { return rank / 2; })},
      {"two hosts in turn", routes_by([](int rank) { return rank % 2; })}};
  return all;
}

OverRig::OverRig(const NetworkRig& rig) { current() = rig.routes; }
OverRig::~OverRig() { current() = nullptr; }
std::shared_ptr<const Routes> OverRig::routes() { return current(); }

}  // namespace ringside::test
