// Decorators around a real transport, for Options::decorate: each does one thing differently, all
// the time. (fault_injection.h builds on them what goes wrong on one rank, at one step.)
//
//     unmapped          correct, but without mapped() or zero-copy messages
//     late_put          a signal is sent before the put that it announces
//     late_copy         a put is copied when its signal is sent, not when it is made
//     generous_credit   a receiver that returns credit for messages which it has not read
//     early_return      a receiver that gives a zero-copy message back before it has read it, so
//                       that its owner does not wait
//     slow_read         correct, but slow: it pauses before it looks for a zero-copy message, and
//                       before it reads
//
// The faulty ones are mutants. A test that has never been seen to fail proves little, so
// tests/collectives/mutants.cc shows each of them to the tests that must notice it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "comm/options.h"
#include "comm/transport/transport.h"

namespace ringside {

// Passes everything on; what a fault needs is overridden.
class PeerWindowAround : public PeerWindow {
 public:
  explicit PeerWindowAround(std::unique_ptr<PeerWindow> inner) : inner_(std::move(inner)) {}
  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    inner_->put(offset_bytes, source, bytes);
  }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    inner_->signal(cell, value, payload, payload_bytes);
  }
  bool all_sent() const override { return inner_->all_sent(); }
  bool all_received() const override { return inner_->all_received(); }
  std::byte* mapped() const override { return nullptr; }
  bool takes_zero_copy() const override { return inner_->takes_zero_copy(); }
  const std::byte* read_exposed(const ZeroCopyRef& ref, std::size_t bytes) override {
    return inner_->read_exposed(ref, bytes);
  }

 protected:
  std::unique_ptr<PeerWindow> inner_;
};

class UnmappedPeerWindow : public PeerWindowAround {
 public:
  using PeerWindowAround::PeerWindowAround;
  bool takes_zero_copy() const override { return false; }
};

class TransportAround : public Transport {
 public:
  using Wrap = std::function<std::unique_ptr<PeerWindow>(std::unique_ptr<PeerWindow>)>;
  TransportAround(std::unique_ptr<Transport> inner, Wrap wrap)
      : inner_(std::move(inner)), wrap_(std::move(wrap)) {}

  const char* name() const override { return inner_->name(); }
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cell_count,
                                 Deadline deadline) override {
    return inner_->expose(data_bytes, cell_count, deadline);
  }
  std::unique_ptr<PeerWindow> open(int peer, const WindowHandle& handle,
                                   Deadline deadline) override {
    return wrap_(inner_->open(peer, handle, deadline));
  }
  bool is_driven() const override { return inner_->is_driven(); }
  void progress() override { inner_->progress(); }

 private:
  std::unique_ptr<Transport> inner_;
  Wrap wrap_;
};

// An Options::decorate that puts a `Faulty` around every peer window.
template <class Faulty, class... Arguments>
Options::Decorate decorate_with(Arguments... arguments) {
  return [=](std::unique_ptr<Transport> inner) -> std::unique_ptr<Transport> {
    return std::make_unique<TransportAround>(
        std::move(inner), [=](std::unique_ptr<PeerWindow> window) -> std::unique_ptr<PeerWindow> {
          return std::make_unique<Faulty>(std::move(window), arguments...);
        });
  };
}

inline Options::Decorate unmapped() { return decorate_with<UnmappedPeerWindow>(); }
Options::Decorate late_put();
Options::Decorate late_copy();
Options::Decorate generous_credit(int credit_cell);
Options::Decorate early_return(int credit_cell);
Options::Decorate slow_read(std::chrono::milliseconds pause);

}  // namespace ringside
