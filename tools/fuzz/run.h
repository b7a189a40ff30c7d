// Carrying out a random program on one rank: many calls in flight, communicators that come and go,
// and an account of what was done and of what the process holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "comm/communicator.h"
#include "tools/fuzz/checked_call.h"
#include "tools/fuzz/options.h"
#include "tools/fuzz/random_program.h"
#include "tools/fuzz/resources.h"

namespace ringside::tools {

// What the table shows. Counts of calls are the program's, so alike on all ranks.
struct Tally {
  struct Row {
    std::uint64_t blocking = 0;
    std::uint64_t async = 0;
    std::int64_t elements = 0;  // compared, on this rank
  };
  std::map<std::string, Row> rows;
  std::size_t most_in_flight = 0;
  std::int64_t dropped = 0;      // Works, on this rank
  std::int64_t groups_made = 0;  // by splits
  std::size_t most_groups = 0;   // alive at a time
  std::uint64_t operations = 0;
};

// What this process held: after the warm-up, at most, and at the end.
struct Account {
  std::optional<Resources> start;
  std::uint64_t start_number = 0;
  Resources most, end;
};

inline constexpr std::size_t kMemoryGrowth_bytes = std::size_t{2} << 20;

class StressRun {
 public:
  // `counts_resources`: this rank looks at what its process holds. One rank of a process does.
  StressRun(Communicator& world, std::uint64_t seed, const StressOptions& options,
            bool counts_resources);

  // One round; nothing is in flight afterwards. False once the program is at its end, or once any
  // rank has found something wrong. Collective. Throws Error with the operation and the seed.
  bool run_round();

  // The first thing that this rank has found wrong: a sentence.
  const std::optional<std::string>& failure() const { return failure_; }
  const Tally& tally() const { return tally_; }
  const Account& account() const { return account_; }
  std::uint64_t done() const { return tally_.operations; }
  // Whether an operation was found to spoil, if that was asked for.
  bool has_spoiled() const { return spoil_number_ != 0; }

 private:
  struct Pending {
    std::unique_ptr<StressJob> job;
    bool dropped = false;
  };

  void run_step(const Step& step);
  void make_call(const Step& step, Communicator& comm);
  void split(const Step& step, Communicator& comm);
  void end_group(int group);
  void finish(std::list<Pending>::iterator it);
  // Those of which `is` is true.
  template <class Is>
  void finish_where(const Is& is);
  void finish_dropped(int group);
  void finish_some(const Step& step);
  void judge(StressJob& job);
  void fail(const Step& step, const std::string& what);
  void stop_all(const Error& why);
  std::string again(std::uint64_t number) const;
  void choose_victim(const Step& step);

  void end_round();
  void look_at_resources();
  void note(const Step& step);

  int member_of(const Group& group) const;  // this rank's number there, −1 if it is not in it
  bool chance(int percent) { return random_() % 100 < static_cast<unsigned>(percent); }

  Communicator& world_;
  const std::uint64_t seed_;
  const StressOptions options_;
  const bool counts_resources_;
  RandomProgram program_;
  std::mt19937_64 random_;  // this rank's own
  std::map<int, Communicator> groups_;
  std::list<Pending> pending_;
  std::size_t pending_bytes_ = 0;
  std::uint64_t spoil_number_ = 0;  // once it is known which operation
  int victim_ = -1;                 // and whose result
  std::size_t groups_alive_ = 0;
  std::optional<std::string> failure_;
  Tally tally_;
  Account account_;
};

}  // namespace ringside::tools
