// What is said about a rank that is late: who, since when, and what it does instead.
//
// Everything stands on the status pages (status page.h), or comes by the control channel
// (control.h). A report is made when something takes long; nothing here is on the way of a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "comm/control/status.h"
#include "comm/peers/peers.h"
#include "comm/util/wait_graph.h"

namespace ringside {

// Whether the rank of this status page has made and finished the collective that `call` is on
// another rank. It has then sent all that it had to send in it.
bool has_finished(const StatusPage& status_page, const Call& call);

class Report {
 public:
  explicit Report(const Peers& peers);

  // The end of a sentence about this rank, which waits in `call`: "rank 2 (pid 4711 on host) is
  // alive, and it has not entered this call; its last one was …", or the wait cycle.
  std::string cause(const Call& call) const;

  // Whether this rank is the one to report it.
  bool is_mine_to_report() const;

 private:
  // A message that was sent and never came.
  struct Loss {
    int sender, receiver;
    std::int64_t since_ms;  // of the receiver's wait
    bool operator==(const Loss&) const = default;
  };
  std::optional<Loss> find_loss() const;
  std::optional<Loss> loss_between(int waiting, int awaited) const;
  // The chain of waits with its end; of a cycle its first rank again.
  std::vector<int> chain() const;
  // How many messages one rank has sent to another that waits for one, and how many of them came.
  struct Tally {
    int sent, received;
  };
  std::optional<Tally> tally(int waiting, int awaited) const;
  std::string wait_cycle() const;
  std::string lost() const;
  std::string doing(int rank, const Call& call) const;

  const Peers& peers_;
  RootCause root_cause_;
  int reporter_;
  std::optional<Loss> loss_;
};

}  // namespace ringside
