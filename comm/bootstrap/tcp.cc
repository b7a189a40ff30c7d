// The star at work: every exchange goes to rank 0 and comes back whole. The picture is in
// tcp.h.
//
//     others ─▶ 0   Frame{contribution, bytes}    and the bytes
//     0 ─▶ others   Frame{table, size × bytes}    and everybody's, or
//                   Frame{failure, n}             and a sentence of n characters: the end
//                   Frame{note}                   rank 0 still waits, and has warned of it
//     both ways     Frame{goodbye}                the last one, from a rank that ends in order
//
// A rank that has contributed is silent until the table comes, so whatever else arrives from it
// before is its end: rank 0 listens to all connections all the time, and notices at once.
#include "comm/bootstrap/tcp.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "comm/bootstrap/rendezvous.h"
#include "comm/util/handshake.h"
#include "comm/util/tcp_socket.h"

namespace ringside {
namespace {

enum FrameKind : std::uint32_t { kContribution = 1, kTable, kFailure, kGoodbye, kNote };

constexpr std::size_t kMostWords = 1000;  // of a failure's sentence

// Only rank 0 knows who is missing, so its deadline should pass first: it then reports to all.
Deadline a_little_after(Deadline deadline) {
  constexpr int kAgesMs = 1 << 30;
  constexpr double kLittle_s = 0.5;
  const int left_ms = deadline.poll_ms(kAgesMs);
  return left_ms == kAgesMs ? deadline : Deadline::after_seconds(left_ms / 1e3 + kLittle_s);
}

// And it warns first: who hears nothing from it by then warns of rank 0 itself.
Warning warning_of(int rank, double warn_s, const std::function<void(const std::string&)>& say) {
  constexpr double kLittle_s = 1;
  return Warning(rank == 0 || warn_s <= 0 ? warn_s : warn_s + kLittle_s, say);
}

}  // namespace

struct TcpBootstrap::Frame {
  std::uint32_t kind;
  std::uint32_t fault;  // of a failure
  std::uint64_t number;
  std::uint64_t bytes;  // that follow
};

// What rank 0 has received of one rank's contribution.
struct TcpBootstrap::Inbox {
  Frame frame{};
  std::size_t frame_bytes = 0;
  std::size_t payload_bytes = 0;
  bool complete = false;
};

std::unique_ptr<TcpBootstrap> TcpBootstrap::start(const TcpOptions& options, Deadline deadline) {
  static_assert(std::is_trivially_copyable_v<Frame> && sizeof(Frame) == 24);
  options.check();
  Warning warning = warning_of(options.rank, options.warn_s, options.on_warning);
  const StopCondition stop{options.rank == 0 ? deadline : a_little_after(deadline),
                           options.interrupted, &warning};
  std::vector<UniqueFd> links;
  if (options.rank > 0)
    links.push_back(call_rank_0(options, stop));
  else if (options.size > 1)
    links = receive_ranks(options, stop);
  return std::unique_ptr<TcpBootstrap>(new TcpBootstrap(options, std::move(links)));
}

TcpBootstrap::TcpBootstrap(const TcpOptions& options, std::vector<UniqueFd> links)
    : rank_(options.rank),
      size_(options.size),
      interrupted_(options.interrupted),
      warn_s_(options.warn_s),
      on_warning_(options.on_warning),
      links_(std::move(links)) {}

TcpBootstrap::~TcpBootstrap() {
  if (maker_.is_this_process()) say_last_words(nullptr);
}

void TcpBootstrap::all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                                    Deadline deadline) {
  if (broken_) throw Error(*broken_);
  ++number_;
  std::byte* table = static_cast<std::byte*>(all);
  Warning warning = warning_of(rank_, warn_s_, on_warning_);
  const StopCondition stop{rank_ == 0 ? deadline : a_little_after(deadline), interrupted_,
                           &warning};
  try {
    if (rank_ == 0)
      serve(mine, bytes, table, stop);
    else
      ask(mine, bytes, table, stop);
  } catch (const Error& error) {
    broken_ = error;
    say_last_words(&error);
    throw;
  }
}

std::string TcpBootstrap::own_address() const {
  for (const UniqueFd& link : links_)
    if (link) return local_address(link.get()).host();
  return {};
}

std::string TcpBootstrap::here() const {
  return text("rank %d, in start-up exchange #%llu", rank_,
              static_cast<unsigned long long>(number_));
}

// --- rank 0 ---

void TcpBootstrap::serve(const void* mine, std::size_t bytes, std::byte* all,
                         const StopCondition& stop) {
  if (bytes > 0) std::memcpy(all, mine, bytes);
  std::vector<Inbox> inboxes(links_.size());
  std::vector<pollfd> waiting;
  for (const UniqueFd& link : links_) waiting.push_back({link.get(), POLLIN, 0});
  const auto late = [&] {
    std::vector<int> ranks;
    for (std::size_t peer = 1; peer < links_.size(); ++peer)
      if (!inboxes[peer].complete) ranks.push_back(static_cast<int>(peer));
    return list_ranks(ranks);
  };
  for (int missing = size_ - 1; missing > 0;) {
    if (mind_the_time(stop, [&] { return here() + ", waited for " + late(); })) send_note();
    poll_a_moment(waiting, stop.deadline);
    for (std::size_t peer = 1; peer < links_.size() && missing > 0; ++peer) {
      if (waiting[peer].revents == 0) continue;
      if (inboxes[peer].complete)
        throw_error(Fault::died,
                    "%s: rank %zu is gone (it died, or gave up) while rank 0 still waited for %s",
                    here().c_str(), peer, late().c_str());
      missing -= receive_from(static_cast<int>(peer), inboxes[peer], bytes, all) ? 1 : 0;
    }
  }
  const std::size_t table_bytes = links_.size() * bytes;
  const Frame frame{kTable, 0, number_, table_bytes};
  std::vector<std::byte> message(sizeof frame + table_bytes);
  std::memcpy(message.data(), &frame, sizeof frame);
  if (table_bytes > 0) std::memcpy(message.data() + sizeof frame, all, table_bytes);
  if (size_ > 1) spread(message, stop);
}

// Takes what has come from `peer`; true once that is its whole contribution.
bool TcpBootstrap::receive_from(int peer, Inbox& inbox, std::size_t bytes, std::byte* all) {
  const std::size_t index = static_cast<std::size_t>(peer);
  const int link = links_[index].get();
  const auto throw_gone = [&](Fault fault, const char* how) {
    throw_error(fault, "%s: rank %d %s", here().c_str(), peer, how);
  };
  Flow flow = receive_some(link, &inbox.frame, sizeof inbox.frame, inbox.frame_bytes);
  if (flow == Flow::gone) throw_gone(Fault::died, "has died (its connection closed)");
  if (flow == Flow::blocked) return false;
  const Frame& frame = inbox.frame;
  if (frame.kind == kGoodbye)
    throw_gone(Fault::left, "has left: it came to fewer exchanges than rank 0");
  if (frame.kind != kContribution || frame.number != number_)
    throw_gone(Fault::protocol, "has sent what no rank sends here");
  if (frame.bytes != bytes)
    throw_error(
        Fault::mismatch,
        "%s: rank %d brings %llu bytes and rank 0 brings %zu; do all ranks run the same program?",
        here().c_str(), peer, static_cast<unsigned long long>(frame.bytes), bytes);
  flow = receive_some(link, all + index * bytes, bytes, inbox.payload_bytes);
  if (flow == Flow::gone) throw_gone(Fault::died, "has died in the middle of its contribution");
  inbox.complete = flow == Flow::complete;
  return inbox.complete;
}

void TcpBootstrap::send_note() {
  for (const UniqueFd& link : links_)
    if (link) send_first_words(link.get(), Frame{kNote, 0, number_, 0});
}

void TcpBootstrap::spread(const std::vector<std::byte>& message, const StopCondition& stop) {
  std::vector<std::size_t> sent(links_.size());
  std::vector<pollfd> waiting;
  for (const UniqueFd& link : links_) waiting.push_back({link.get(), POLLOUT, 0});
  std::vector<int> late;
  const auto send_what_goes = [&] {
    late.clear();
    for (std::size_t peer = 1; peer < links_.size(); ++peer) {
      if (waiting[peer].fd < 0) continue;
      // A rank that is gone is no error yet: the others shall have their table. The next exchange
      // says who it is.
      const Flow flow = send_some(links_[peer].get(), message.data(), message.size(), sent[peer]);
      if (flow == Flow::blocked)
        late.push_back(static_cast<int>(peer));
      else
        waiting[peer].fd = -1;
    }
    return late.empty();
  };
  try {
    while (!send_what_goes()) {
      mind_the_time(stop, [&] {
        return here() + ", waited for " + list_ranks(late) + " to receive the table";
      });
      poll_a_moment(waiting, stop.deadline);
    }
  } catch (const Error&) {
    // Last words in the middle of a table would be taken for a part of it.
    for (const int peer : late) links_[static_cast<std::size_t>(peer)] = UniqueFd();
    throw;
  }
}

// --- all others ---

void TcpBootstrap::ask(const void* mine, std::size_t bytes, std::byte* all,
                       const StopCondition& stop) {
  const Frame frame{kContribution, 0, number_, bytes};
  std::vector<std::byte> message(sizeof frame + bytes);
  std::memcpy(message.data(), &frame, sizeof frame);
  if (bytes > 0) std::memcpy(message.data() + sizeof frame, mine, bytes);
  send_to_0(message, stop);
  Frame answer{};
  receive_from_0(&answer, sizeof answer, stop);
  if (answer.kind == kNote) {
    stop.warning->leave_it();
    receive_from_0(&answer, sizeof answer, stop);
  }
  if (answer.kind == kFailure) throw_what_0_says(answer, stop);
  if (answer.kind == kGoodbye)
    throw Error(Fault::left,
                here() + ": rank 0 has left: it came to fewer exchanges than this one");
  const std::size_t table_bytes = static_cast<std::size_t>(size_) * bytes;
  if (answer.kind != kTable || answer.number != number_ || answer.bytes != table_bytes)
    throw Error(Fault::protocol, here() + ": rank 0 has sent what it never sends here");
  receive_from_0(all, table_bytes, stop);
}

void TcpBootstrap::send_to_0(const std::vector<std::byte>& message, const StopCondition& stop) {
  std::vector<pollfd> waiting = {{links_[0].get(), POLLOUT, 0}};
  std::size_t sent = 0;
  try {
    // If rank 0 is gone this ends too: its last words may still be there to be read.
    while (send_some(links_[0].get(), message.data(), message.size(), sent) == Flow::blocked) {
      mind_the_time(stop, [&] { return here() + ", waited for rank 0 to receive its bytes"; });
      poll_a_moment(waiting, stop.deadline);
    }
  } catch (const Error&) {
    links_.clear();  // as in spread
    throw;
  }
}

void TcpBootstrap::receive_from_0(void* target, std::size_t bytes, const StopCondition& stop) {
  std::vector<pollfd> waiting = {{links_[0].get(), POLLIN, 0}};
  for (std::size_t received = 0;;) {
    const Flow flow = receive_some(links_[0].get(), target, bytes, received);
    if (flow == Flow::complete) return;
    if (flow == Flow::gone)
      throw Error(Fault::died, here() + ": rank 0 has died (its connection closed)");
    mind_the_time(stop, [&] {
      return here() +
             (stop.warning->is_left()
                  ? ", waited with rank 0 for other ranks"
                  : ", waited for rank 0 and has heard nothing of it (it is stopped, late, "
                    "or waits for others itself)");
    });
    poll_a_moment(waiting, stop.deadline);
  }
}

void TcpBootstrap::throw_what_0_says(const Frame& frame, const StopCondition& stop) {
  std::string sentence(std::min<std::size_t>(frame.bytes, kMostWords), '\0');
  receive_from_0(sentence.data(), sentence.size(), stop);
  throw_error(fault_from(frame.fault), "rank %d stops: %s", rank_, sentence.c_str());
}

// --- both ---

// Rank 0 reports to the others why it stops; any rank says that it ends in order. Nothing waits: a
// connection that cannot take a few bytes is closed, and its reader finds it closed. After an error
// it also ends all connections: broken is broken for all.
void TcpBootstrap::say_last_words(const Error* cause) noexcept {
  Frame frame{kGoodbye, 0, number_, 0};
  std::array<std::byte, sizeof frame + kMostWords> message;
  if (cause != nullptr && rank_ == 0) {
    frame.kind = kFailure;
    frame.fault = static_cast<std::uint32_t>(cause->fault());
    frame.bytes = std::min(std::strlen(cause->what()), kMostWords);
    std::memcpy(message.data() + sizeof frame, cause->what(), frame.bytes);
  }
  std::memcpy(message.data(), &frame, sizeof frame);
  for (const UniqueFd& link : links_)
    if (std::size_t sent = 0; link)
      send_some(link.get(), message.data(), sizeof frame + frame.bytes, sent);
  links_.clear();
}

}  // namespace ringside
