// Reading the boards, and putting what they say into words.
#include "comm/report.h"

#include <cstdio>
#include <optional>

#include "comm/error.h"

namespace ringside {
namespace {

// "31 s", "0.4 s"
std::string age(std::int64_t since_ms) {
  return text("%.3g s", static_cast<double>(coarse_now_ms() - since_ms) / 1e3);
}

// The kernel's letter for what a process does: R S D T t … '?' if it cannot be read.
char state_of(int pid) {
  char state = '?';
  if (std::FILE* file = std::fopen(text("/proc/%d/stat", pid).c_str(), "re")) {
    // The name in brackets may hold anything, brackets too; the state follows the last one.
    char line[512] = {};
    if (std::fgets(line, sizeof line, file) != nullptr) {
      const std::string words = line;
      const std::size_t end = words.rfind(") ");
      if (end != std::string::npos && end + 2 < words.size()) state = words[end + 2];
    }
    std::fclose(file);
  }
  return state;
}

bool is_stopped(int pid) {
  const char state = state_of(pid);
  return state == 'T' || state == 't';
}

// A process that is stopped waits for nobody, whatever its board says: what it waited for may have
// come since.
std::optional<int> awaited_by(const Peers& peers, int rank) {
  const Board* board = peers.board_of(rank);
  const std::optional<WaitNote> wait = board == nullptr ? std::nullopt : board->wait();
  if (!wait || is_stopped(peers.identity(rank).pid)) return std::nullopt;
  return wait->peer;
}

}  // namespace

Report::Report(const Peers& peers) : peers_(peers) {
  const auto waits_for = [&](int rank) { return awaited_by(peers, rank); };
  blame_ = blame(peers.rank(), waits_for);
  teller_ = teller(blame_, peers.size(), waits_for);
}

bool Report::is_mine_to_tell() const { return teller_ == peers_.rank(); }

std::string Report::cause(const Call& call) const {
  if (!blame_.late) return circle();
  const int rank = *blame_.late;
  const bool stopped = is_stopped(peers_.identity(rank).pid);
  return peers_.who(rank) +
         (stopped ? " is stopped (by a signal or a debugger), and " : " is alive, and ") +
         doing(rank, call);
}

std::string Report::doing(int rank, const Call& call) const {
  const Board* board = peers_.board_of(rank);
  if (board == nullptr) return "what it is doing cannot be seen from here";
  const std::optional<Call> latest = board->latest();
  if (!latest) return "it has not entered any call yet";
  const std::string what = describe(latest->number, latest->what);
  const std::string since = age(latest->entered_ms);
  if (board->inside(latest->number))
    return text("it has been in %s for %s, waiting for nobody", what.c_str(), since.c_str());
  return text("it has not entered %s; its last call was %s, entered %s ago",
              call.collective == 0 ? "this call" : describe(call.number, call.what).c_str(),
              what.c_str(), since.c_str());
}

std::string Report::circle() const {
  std::string words =
      "ranks wait for each other in a circle, as their boards say, so none will go on: ";
  for (std::size_t i = 0; i < blame_.waiting.size(); ++i) {
    const Board& board = *peers_.board_of(blame_.waiting[i]);
    const std::optional<Call> latest = board.latest();
    const std::optional<WaitNote> wait = board.wait();
    words += text("%srank %d in %s, %s", i == 0 ? "" : "; ", blame_.waiting[i],
                  latest ? describe(latest->number, latest->what).c_str() : "no call",
                  wait ? wait->words.c_str() : "going on by now");
  }
  return words;
}

}  // namespace ringside
