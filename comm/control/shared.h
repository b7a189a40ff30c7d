// The control channel of ranks that share memory: status pages are read where they are, a process
// descriptor for each process shows when it dies, and an alarm is a store into the peers' cells.
#pragma once

#include <memory>
#include <vector>

#include "comm/bootstrap/identity.h"
#include "comm/control/control.h"
#include "comm/transport/transport.h"
#include "comm/util/fd.h"

namespace ringside {

class SharedControl : public Control {
 public:
  using Windows = std::vector<std::unique_ptr<PeerWindow>>;

  // `windows`: the peers', by rank, each with its status page at the start of its data; null for
  // this rank itself, and for those that are not open yet. `alarm_cell`: of each.
  SharedControl(int rank, const std::vector<PeerInfo>& everyone, const Windows& windows,
                int alarm_cell);

  const StatusPage* status_page_of(int peer) override;
  bool has_died(int peer) override;  // a system call
  Presence presence(int peer) override;
  void refresh() override {}
  void raise_alarm() override { pass_on_alarm(rank_); }
  bool alarms_at_once() const override { return true; }
  void pass_on_alarm(int origin) override;

 private:
  bool process_ended(int peer) const;

  const int rank_;
  const std::vector<PeerInfo>& everyone_;
  const Windows& windows_;
  const int alarm_cell_;
  std::vector<UniqueFd> processes_;        // pidfds; none for this process's own threads
  std::vector<unsigned long long> began_;  // each process, as /proc counts
};

}  // namespace ringside
