// Reading the status pages, and putting what they say into words.
#include "comm/diagnostics/report.h"

#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "comm/error.h"

namespace ringside {
namespace {

// "31 s", "0.4 s"
std::string age(std::int64_t since_ms) {
  return text("%.3g s", static_cast<double>(coarse_now_ms() - since_ms) / 1e3);
}

// Long for a rank that only has to wake up and look.
constexpr std::chrono::milliseconds kLookAgainAfter{20};

// A process that is stopped, or silent, waits for nobody, whatever its status page says: what it
// waited for may have come since.
std::optional<int> awaited_by(const Peers& peers, int rank) {
  const StatusPage* status_page = peers.status_page_of(rank);
  const std::optional<WaitNote> wait = status_page == nullptr ? std::nullopt : status_page->wait();
  if (!wait || peers.presence(rank) != Presence::runs) return std::nullopt;
  if (wait->peer < 0 || wait->peer >= peers.size()) return std::nullopt;  // a damaged page
  return wait->peer;
}

const char* words_of(Presence presence) {
  switch (presence) {
    case Presence::runs:
      return " is alive, and ";
    case Presence::stopped:
      return " is stopped (by a signal or a debugger), and ";
    case Presence::silent:
      return " does not answer (its process is stopped, or its host or the network between is in "
             "trouble); when last heard of, ";
  }
  return "?";
}

}  // namespace

bool has_finished(const StatusPage& status_page, const Call& call) {
  if (call.collective == 0) return false;
  const std::optional<Call> theirs = status_page.find_collective(call.collective);
  return theirs && theirs->fingerprint == call.fingerprint && !status_page.inside(theirs->number);
}

Report::Report(const Peers& peers) : peers_(peers) {
  const auto waits_for = [&](int rank) { return awaited_by(peers, rank); };
  peers.refresh_status_pages();
  root_cause_ = root_cause(peers.rank(), waits_for);
  reporter_ = reporter(root_cause_, peers.size(), waits_for);
  loss_ = find_loss();
  // A message that has come just now looks like one that is lost. So look twice.
  if (!loss_) return;
  std::this_thread::sleep_for(kLookAgainAfter);
  peers.refresh_status_pages();
  if (find_loss() != loss_) loss_.reset();
}

bool Report::is_mine_to_report() const { return reporter_ == peers_.rank(); }

std::string Report::cause(const Call& call) const {
  if (loss_) return lost();
  if (!root_cause_.straggler) return wait_cycle();
  const int rank = *root_cause_.straggler;
  return peers_.who(rank) + words_of(peers_.presence(rank)) + doing(rank, call);
}

std::string Report::doing(int rank, const Call& call) const {
  const StatusPage* status_page = peers_.status_page_of(rank);
  if (status_page == nullptr) return "what it is doing cannot be seen from here";
  const std::optional<Call> latest = status_page->latest();
  if (!latest) return "it has not entered any call yet";
  const std::string what = describe(latest->number, latest->what);
  const std::string since = age(latest->entered_ms);
  if (status_page->inside(latest->number))
    return text("it has been in %s for %s, waiting for nobody", what.c_str(), since.c_str());
  return text("it has not entered %s; its last call was %s, entered %s ago",
              call.collective == 0 ? "this call" : describe(call.number, call.what).c_str(),
              what.c_str(), since.c_str());
}

std::string Report::wait_cycle() const {
  std::string words =
      "ranks wait for each other in a cycle, as their status pages say, so none will go on: ";
  for (std::size_t i = 0; i < root_cause_.waiting.size(); ++i) {
    const StatusPage& status_page = *peers_.status_page_of(root_cause_.waiting[i]);
    const std::optional<Call> latest = status_page.latest();
    const std::optional<WaitNote> wait = status_page.wait();
    words += text("%s%s in %s, %s", i == 0 ? "" : "; ", peers_.name(root_cause_.waiting[i]).c_str(),
                  latest ? describe(latest->number, latest->what).c_str() : "no call",
                  wait ? wait->words.c_str() : "going on by now");
  }
  return words;
}

std::vector<int> Report::chain() const {
  std::vector<int> ranks = root_cause_.waiting;
  ranks.push_back(root_cause_.straggler ? *root_cause_.straggler : ranks.front());
  return ranks;
}

// Messages of one direction stay in order, so whoever waits in a recv has received all before it.
std::optional<Report::Tally> Report::tally(int waiting, int awaited) const {
  const StatusPage *receiver = peers_.status_page_of(waiting),
                   *sender = peers_.status_page_of(awaited);
  const std::optional<Call> call = receiver == nullptr ? std::nullopt : receiver->latest();
  const std::optional<WaitNote> wait = call ? receiver->wait() : std::nullopt;
  if (!wait || sender == nullptr || call->collective != 0) return std::nullopt;
  if (wait->peer != awaited || wait->position != call->number) return std::nullopt;
  const std::optional<int> received = receiver->count_messages(awaited, awaited, call->number - 1);
  const std::optional<int> sent = sender->count_messages(awaited, waiting, sender->finished());
  return received && sent ? std::optional(Tally{*sent, *received}) : std::nullopt;
}

// Along the chain of waits a rank may wait for one that has finished the call in which it waits:
// what it waits for was sent, then. Or one has sent it more messages than it has received. In a
// cycle nobody need have finished; but the hindmost rank of it waits for one that is ahead, and no
// rank gets ahead of another that it has sent nothing.
std::optional<Report::Loss> Report::find_loss() const {
  const std::vector<int> ranks = chain();
  for (std::size_t i = 0; i + 1 < ranks.size(); ++i) {
    const StatusPage *waiting = peers_.status_page_of(ranks[i]),
                     *awaited = peers_.status_page_of(ranks[i + 1]);
    const std::optional<Call> call = waiting == nullptr ? std::nullopt : waiting->latest();
    if (call && awaited != nullptr && has_finished(*awaited, *call))
      return loss_between(ranks[i], ranks[i + 1]);
    const std::optional<Tally> messages = tally(ranks[i], ranks[i + 1]);
    if (messages && messages->sent > messages->received)
      return loss_between(ranks[i], ranks[i + 1]);
  }
  if (root_cause_.straggler) return std::nullopt;
  std::optional<std::pair<std::uint64_t, std::size_t>> hindmost;  // how far, and which
  for (std::size_t i = 0; i + 1 < ranks.size(); ++i) {
    const std::optional<WaitNote> wait = peers_.status_page_of(ranks[i])->wait();
    const std::optional<Call> call = peers_.status_page_of(ranks[i])->latest();
    if (!wait || !call || call->collective == 0) return std::nullopt;
    if (!hindmost || wait->position < hindmost->first) hindmost = {wait->position, i};
  }
  const std::optional<WaitNote> ahead = peers_.status_page_of(ranks[hindmost->second + 1])->wait();
  if (!ahead || ahead->position <= hindmost->first) return std::nullopt;
  return loss_between(ranks[hindmost->second], ranks[hindmost->second + 1]);
}

std::optional<Report::Loss> Report::loss_between(int waiting, int awaited) const {
  const std::optional<WaitNote> wait = peers_.status_page_of(waiting)->wait();
  if (!wait || wait->peer != awaited) return std::nullopt;
  return Loss{awaited, waiting, wait->since_ms};
}

std::string Report::lost() const {
  const StatusPage& receiver = *peers_.status_page_of(loss_->receiver);
  const std::optional<WaitNote> wait = receiver.wait();
  const std::optional<Call> call = receiver.latest();
  return text(
      "a message of %s to %s was lost: rank %d is in %s, %s, and rank %d has sent that "
      "and gone on. It is the transport or the memory between them that failed",
      peers_.who(loss_->sender).c_str(), peers_.name(loss_->receiver).c_str(), loss_->receiver,
      call ? describe(call->number, call->what).c_str() : "no call",
      wait ? wait->words.c_str() : "going on by now", loss_->sender);
}

}  // namespace ringside
