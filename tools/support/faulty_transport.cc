// The faults themselves: how each goes wrong, and how it keeps from going wrong in other ways too.
#include "tools/support/faulty_transport.h"

#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

namespace ringside {
namespace {

// Keeps the last put back until something comes after the signal that announces it. Held back is a
// copy, so the source may be reused and only the order is wrong.
class LatePut : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    send_held();
    const auto* first = static_cast<const std::byte*>(source);
    held_.assign(first, first + bytes);
    offset_bytes_ = offset_bytes;
    announced_ = false;
  }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (announced_) send_held();
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
    announced_ = true;
  }
  ~LatePut() override { send_held(); }

 private:
  void send_held() {
    if (!held_.empty()) inner_->put(offset_bytes_, held_.data(), held_.size());
    held_.clear();
  }
  std::vector<std::byte> held_;
  std::size_t offset_bytes_ = 0;
  bool announced_ = false;
};

// Remembers where the source is, and looks there again when the signal announces it.
class LateCopy : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    puts_.push_back({offset_bytes, source, bytes});
  }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    for (const Put& it : puts_) inner_->put(it.offset_bytes, it.source, it.bytes);
    puts_.clear();
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }

 private:
  struct Put {
    std::size_t offset_bytes;
    const void* source;
    std::size_t bytes;
  };
  std::vector<Put> puts_;
};

// Returns credit for one message more than were read. The pauses let the sender fill its slots
// first (credit for what was never sent would only confuse it) and then use what it was given.
class GenerousCredit : public PeerWindowAround {
 public:
  GenerousCredit(std::unique_ptr<PeerWindow> inner, int credit_cell)
      : PeerWindowAround(std::move(inner)), credit_cell_(credit_cell) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    const bool is_credit = cell == credit_cell_;
    if (is_credit) pause();
    if (is_credit) ++value.sequence;
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
    if (is_credit) pause();
  }

 private:
  static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(200)); }
  int credit_cell_;
};

// Where every message is a zero-copy message, each credit is one more than the one before. The
// pause is for the owner, who takes himself for free to write.
class EarlyReturn : public PeerWindowAround {
 public:
  EarlyReturn(std::unique_ptr<PeerWindow> inner, int credit_cell)
      : PeerWindowAround(std::move(inner)), credit_cell_(credit_cell) {}
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    if (cell == credit_cell_) returned_ = value.sequence;
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
  }
  const std::byte* read_exposed(const ZeroCopyRef& ref, std::size_t bytes) override {
    const std::byte* at = PeerWindowAround::read_exposed(ref, bytes);
    if (at == nullptr) return at;
    PeerWindowAround::signal(credit_cell_, {returned_ + 1, 0}, nullptr, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return at;
  }

 private:
  int credit_cell_;
  std::uint32_t returned_ = 0;
};

class SlowRead : public PeerWindowAround {
 public:
  SlowRead(std::unique_ptr<PeerWindow> inner, std::chrono::milliseconds pause)
      : PeerWindowAround(std::move(inner)), pause_(pause) {}
  std::byte* mapped() const override { return inner_->mapped(); }
  const std::byte* read_exposed(const ZeroCopyRef& ref, std::size_t bytes) override {
    std::this_thread::sleep_for(pause_);
    const std::byte* at = PeerWindowAround::read_exposed(ref, bytes);
    std::this_thread::sleep_for(pause_);
    return at;
  }

 private:
  std::chrono::milliseconds pause_;
};

}  // namespace

Options::Decorate late_put() { return decorate_with<LatePut>(); }
Options::Decorate late_copy() { return decorate_with<LateCopy>(); }
Options::Decorate generous_credit(int credit_cell) {
  return decorate_with<GenerousCredit>(credit_cell);
}
Options::Decorate early_return(int credit_cell) { return decorate_with<EarlyReturn>(credit_cell); }
Options::Decorate slow_read(std::chrono::milliseconds pause) {
  return decorate_with<SlowRead>(pause);
}

}  // namespace ringside
