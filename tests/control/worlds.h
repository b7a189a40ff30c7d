// Connections of a control mesh in this process, for worlds of control_contract.h and for tests
// that speak to a SocketControl byte by byte.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "comm/control/connect.h"
#include "comm/control/socket.h"
#include "comm/transport/signal.h"
#include "tests/control/contract.h"

namespace ringside::test {

// Each rank's connections, by rank. `before` is called with the ports, before any rank calls.
std::vector<std::vector<UniqueFd>> mesh_of(
    int ranks, const std::function<void(const std::vector<int>& ports)>& before = {},
    std::size_t strangers_max = 256);

// What rank 2 is: somebody who answers every question, or bare connections, over which a test says
// what it likes.
enum class Victim { answers, bare };

class SocketWorld : public ControlWorld {
 public:
  explicit SocketWorld(Victim victim, const ControlUnderTest::Wrap& wrap = {});
  ~SocketWorld() override;

  StatusPage& status_page(int rank) override {
    return status_pages_[static_cast<std::size_t>(rank)];
  }
  int alarm(int rank) override;
  void silence_victim() override;
  void kill_victim() override;
  void part_with_rank_1() override { controls_[1].reset(); }

  // The victim's connection to this rank.
  int victims_end(int rank) const { return victim_[static_cast<std::size_t>(rank)].fd(); }

 private:
  std::array<StatusPage, kRanks> status_pages_;
  std::array<Cell, kRanks> alarms_;
  std::array<ControlLink, kRanks> victim_;
  std::atomic<bool> silent_{false};
  std::thread answering_;
};

}  // namespace ringside::test
