// Status pages as JSON, and files that are whole or not there.
#include "comm/diagnostics/flight_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "comm/control/status.h"
#include "comm/error.h"
#include "comm/util/fd.h"
#include "comm/util/json.h"

namespace ringside {
namespace {

// A record that is no older has been written on the same occasion as this one.
constexpr time_t kJustNow_s = 2;

const char* name_of(RankState state) {
  switch (state) {
    case RankState::running:
      return "running";
    case RankState::left:
      return "left";
    case RankState::broken:
      return "broken";
  }
  return "?";
}

std::string utc_now() {
  const time_t now = ::time(nullptr);
  tm parts{};
  ::gmtime_r(&now, &parts);
  char words[32] = {};
  std::strftime(words, sizeof words, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return words;
}

const char* process_of(const Peers& peers, int rank) {
  if (peers.find_dead() == rank) return "gone";
  switch (peers.presence(rank)) {
    case Presence::runs:
      return "there";
    case Presence::stopped:
      return "stopped";
    case Presence::silent:
      return "silent";
  }
  return "?";
}

// Of a message each end has its own word for it.
std::string kind_of(const Call& call, int rank) {
  if (call.what.kind != Kind::send_recv) return name_of(call.what);
  return call.what.root == rank ? "send" : "recv";
}

void write_call(JsonWriter& json, const Call& call, int rank) {
  const Operation& what = call.what;
  json.object().field("number", call.number, "collective", call.collective, "entered_ms",
                      call.entered_ms, "what", describe(call.number, what), "op",
                      kind_of(call, rank), "type", name_of(what.dtype), "count", what.count);
  if (has_reduction(what.kind)) json.field("redop", name_of(what.reduction));
  if (has_root(what.kind)) json.field("root", what.root);
  if (is_ragged(what.kind)) json.field("layout", what.layout);
  if (call.peer != Call::kNobody) json.field("peer", call.peer);
  json.end();
}

void write_wait(JsonWriter& json, const std::optional<WaitNote>& wait) {
  if (wait)
    json.object("waits_for")
        .field("rank", wait->peer, "since_ms", wait->since_ms, "words", wait->words)
        .end();
  else
    json.field("waits_for", nullptr);
}

std::string communicator_name(const Peers& peers) {
  const PeerInfo& zero = peers.rank_info(0);
  std::string host = zero.host.data();
  for (char& c : host)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.') c = '_';
  return text("%s-%d-%u", host.c_str(), static_cast<int>(zero.pid), zero.serial);
}

// Nothing where there is no file.
std::optional<time_t> age_s(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return ::time(nullptr) - status.st_mtime;
}

// Under another name first: nobody ever reads half a record. A rank's own takes the place of what
// others have read off its status page; theirs does not take the place of its own.
enum class Owner { self, another };

bool put_in_place(const std::string& part, const std::string& path, Owner owner) {
  if (owner == Owner::self) return ::rename(part.c_str(), path.c_str()) == 0;
  if (const std::optional<time_t> age = age_s(path); age && *age > kJustNow_s)
    ::unlink(path.c_str());
  const bool placed = ::link(part.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int error = errno;
  ::unlink(part.c_str());
  errno = error;
  return placed;
}

void write_whole(const std::string& path, const std::string& contents, Owner owner) {
  static std::atomic<unsigned> serial{0};
  const std::string part = text("%s.%d.%u.part", path.c_str(), static_cast<int>(::getpid()),
                                serial.fetch_add(1, std::memory_order_relaxed));
  UniqueFd file(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) throw_system(text("cannot write the flight record %s", path.c_str()));
  std::size_t done = 0;
  while (done < contents.size()) {
    const ssize_t wrote = ::write(file.get(), contents.data() + done, contents.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) break;
    done += static_cast<std::size_t>(wrote);
  }
  if (done == contents.size() && put_in_place(part, path, owner)) return;
  const int error = errno;
  ::unlink(part.c_str());
  errno = error;
  throw_system(text("cannot write the flight record %s", path.c_str()));
}

}  // namespace

std::string flight_json(const Peers& peers, int rank, const char* why) {
  const StatusPage& status_page = *peers.status_page_of(rank);
  const PeerInfo& who = peers.rank_info(rank);
  const RankState state = status_page.state();
  const std::string cause = state == RankState::broken ? status_page.cause().what() : "";
  JsonWriter json(2);
  json.object().field("ringside_flight", 1, "communicator", communicator_name(peers), "rank", rank,
                      "world_rank", who.world_rank, "size", peers.size(), "host", who.host.data(),
                      "pid", who.pid, "process", process_of(peers, rank), "why", why, "written_by",
                      peers.rank(), "written_at", utc_now(), "now_ms", coarse_now_ms(), "state",
                      name_of(state), "cause", cause, "finished", status_page.finished());
  write_wait(json, status_page.wait());
  json.array("calls");
  for (const Call& call : status_page.history()) write_call(json, call, rank);
  return json.end().end().text();
}

std::string flight_name(const Peers& peers, int rank) {
  return text("flight-%s-rank%d.json", communicator_name(peers).c_str(), rank);
}

std::string write_flight(const Peers& peers, const std::string& folder, const char* why) noexcept {
  try {
    const auto path = [&](int rank) { return folder + "/" + flight_name(peers, rank); };
    write_whole(path(peers.rank()), flight_json(peers, peers.rank(), why), Owner::self);
    peers.refresh_status_pages();
    for (int rank = 0; rank < peers.size(); ++rank) {
      const bool readable = rank != peers.rank() && peers.status_page_of(rank) != nullptr;
      if (readable && age_s(path(rank)).value_or(kJustNow_s + 1) > kJustNow_s)
        write_whole(path(rank), flight_json(peers, rank, why), Owner::another);
    }
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace ringside
