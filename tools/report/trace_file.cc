// Making the file, and adding to it while others add too.
#include "tools/report/trace_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "comm/error.h"
#include "comm/util/deadline.h"
#include "comm/util/fd.h"
#include "comm/util/json.h"
#include "tools/support/run_ranks.h"

namespace ringside::tools {
namespace {

using std::chrono::milliseconds;

constexpr char kTail[] = "\n]}\n";
constexpr std::size_t kTailBytes = sizeof kTail - 1;
constexpr char kBaseKey[] = "clock_base_ns";
constexpr std::size_t kHeadBytes = 256;
constexpr double kPatience_s = 30;  // for the other ranks' writing
// So much is written at once, with the bracket behind it: a rank that is killed meanwhile leaves
// whole JSON, unless that comes in the middle of a write.
constexpr std::size_t kPartBytes = std::size_t{256} << 10;

// The base stands early in the file, so that the ranks can find it.
std::string head(const char* tool) {
  JsonWriter process;
  process.object().field("ph", "M", "pid", 1, "name", "process_name");
  process.object("args").field("name", tool).end().end();
  JsonWriter other;
  other.object().field("tool", tool, kBaseKey, Trace::now_ns()).end();
  return "{\"displayTimeUnit\": \"ns\", \"otherData\": " + other.text() +
         ",\n\"traceEvents\": [\n" + process.text();
}

// False, with errno, if not all of it could be written.
bool write_at(int fd, const std::string& words, std::size_t offset) {
  for (std::size_t done = 0; done < words.size();) {
    const ssize_t some =
        ::pwrite(fd, words.data() + done, words.size() - done, static_cast<off_t>(offset + done));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return false;
    done += static_cast<std::size_t>(some);
  }
  return true;
}

// An open trace file, and what can be wrong with it.
class File {
 public:
  File(const std::string& path, int flags, Fault fault)
      : path_(path), fault_(fault), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (fd_.get() < 0) fail("open");
    struct stat facts {};
    if (::fstat(fd_.get(), &facts) != 0) fail("look at");
    if (!S_ISREG(facts.st_mode))
      throw Error(fault_, text("the trace cannot go to %s: it is not a plain file", path.c_str()));
  }

  int fd() const { return fd_.get(); }

  [[noreturn]] void fail(const char* verb) const {
    throw Error(fault_,
                text("cannot %s the trace file %s: %s", verb, path_.c_str(), std::strerror(errno)));
  }
  [[noreturn]] void fail_changed() const {
    throw Error(fault_, text("the trace file %s has been changed by somebody else meanwhile",
                             path_.c_str()));
  }

  void lock() const {
    const Deadline deadline = Deadline::after_seconds(kPatience_s);
    while (::flock(fd(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) fail("lock");
      if (deadline.passed()) fail("lock");
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  std::string read(std::size_t offset, std::size_t bytes) const {
    std::string words(bytes, '\0');
    const ssize_t got = ::pread(fd(), words.data(), bytes, static_cast<off_t>(offset));
    if (got < 0) fail("read");
    words.resize(static_cast<std::size_t>(got));
    return words;
  }

  std::size_t size() const {
    struct stat facts {};
    if (::fstat(fd(), &facts) != 0) fail("look at");
    return static_cast<std::size_t>(facts.st_size);
  }

 private:
  const std::string& path_;
  Fault fault_;
  UniqueFd fd_;
};

// The clock's time that stands in the head, from which all ranks count.
std::int64_t base_of(const File& file) {
  const std::string words = file.read(0, kHeadBytes);
  const std::size_t at = words.find(kBaseKey);
  if (at == std::string::npos) file.fail_changed();
  constexpr std::size_t kToNumber = sizeof kBaseKey - 1 + sizeof "\": " - 1;
  return std::strtoll(words.c_str() + std::min(at + kToNumber, words.size()), nullptr, 10);
}

// Where the bracket stands.
std::size_t end_of(const File& file) {
  const std::size_t size = file.size();
  if (size < kTailBytes || file.read(size - kTailBytes, kTailBytes) != kTail) file.fail_changed();
  return size - kTailBytes;
}

// What was there before is there again, and the reason in errno.
void restore(const File& file, std::size_t end) {
  const int why = errno;
  // Nothing more can be done if this fails as well, and the error is reported anyway.
  [[maybe_unused]] const bool written = write_at(file.fd(), kTail, end);
  [[maybe_unused]] const int cut = ::ftruncate(file.fd(), static_cast<off_t>(end + kTailBytes));
  errno = why;
}

void append(const File& file, const std::string& events) {
  std::size_t end = end_of(file);
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t line = events.find('\n', std::min(at + kPartBytes, events.size()));
    const std::size_t stop = std::min(line, events.size());
    // All lines but the last end in a comma, which is for the one that follows.
    const std::size_t words = stop - at - (stop < events.size() ? 1 : 0);
    const std::string part = ",\n" + events.substr(at, words);
    if (!write_at(file.fd(), part + kTail, end)) {
      restore(file, end);
      file.fail("write");
    }
    end += part.size();
    at = stop + 1;
  }
}

// About the same on all ranks; each one's number is on its track.
void report_dropped(const char* tool, const std::string& path, const Trace& trace) {
  if (trace.dropped() == 0) return;
  const std::string line = text(
      "%s: %s holds the last %zu spans of each rank; rank 0 has dropped %llu that were "
      "earlier\n",
      tool, path.c_str(), kMostSpans, static_cast<unsigned long long>(trace.dropped()));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void create_trace_file(const char* tool, const std::string& path) {
  const File file(path, O_RDWR | O_CREAT | O_TRUNC, Fault::usage);
  if (!write_at(file.fd(), head(tool) + kTail, 0)) file.fail("write");
}

// The events are made before the lock is taken: the others wait for it, perhaps with little time
// left.
void append_trace(const std::string& path, int rank, const Trace& trace) {
  const File file(path, O_RDWR, Fault::system);
  const std::string events = trace_events(rank, trace, base_of(file));
  file.lock();
  append(file, events);
}

int run_measuring_tool(
    const char* name, Tool tool, int argc, char** argv,
    const std::function<int(Bootstrap&, const Arguments&, const Options&)>& body) {
  return run_tool(
      name, [&] { return parse_arguments(argc, argv, tool); }, [&] { return help_text(tool); },
      [&](Bootstrap& bootstrap, const Arguments& arguments) {
        Options options = tool_options(bootstrap, arguments.fault);
        if (arguments.executor) options.executor = *arguments.executor;
        return run_traced(
            name, arguments.trace, bootstrap.rank(), options,
            [&](const Options& traced) { return body(bootstrap, arguments, traced); });
      });
}

int run_traced(const char* tool, const std::string& path, int rank, const Options& options,
               const std::function<int(const Options&)>& body) {
  if (path.empty()) return body(options);
  Trace trace;
  Options traced = options;
  traced.trace = &trace;
  try {
    if (rank == 0) create_trace_file(tool, path);
  } catch (const Error& error) {
    if (traced.refused.empty()) traced.refused = error.what();
  }
  const int status = run_guarded(tool, rank, [&] { return body(traced); });
  return run_guarded(tool, rank, [&] {
    if (trace.empty()) return status;  // no communicator was made, for want of this file perhaps
    append_trace(path, rank, trace);
    if (rank == 0) report_dropped(tool, path, trace);
    return status;
  });
}

}  // namespace ringside::tools
