// A rank that behaves as its arguments say: well, or badly in one exact way.
// tests/launcher/processes.cc and tests/collectives/hash.cc start it under a launcher and look at
// what the ranks say and leave behind.
//
//   mpirun -n N rank_program MODE [options]
//   launch -n N rank_program MODE [options]       rank_program MODE --threads N [options]
//
//   ok                             a few calls, and goes
//   hash [--in-place]              the hash matrix (collectives/hash_cases.h); rank 0 prints it
//   loop [--ready FILE]            all_reduces until it is killed; FILE appears once they run
//   die --rank R --op K            rank R is killed in the middle of its K-th all_reduce
//   die-in-probe --rank R          rank R is killed once it has joined the probe of the machine
//   mismatch --what W --bytes B    rank 1 differs in count, type, operation or reduction
//   leave --rank R --op K          rank R destroys its communicator after K − 1 all_reduces
//   stall --rank R --op K          rank R makes no K-th call, and stays
//   expose                         every operation on exposed memory, against the oracle
//   die-having-exposed --rank R    rank R is killed right after it first exposes memory
//   stop-having-exposed --rank R   the same with SIGSTOP; --what send: in send, not all_gather
//
// --no-pidfd: process descriptors are refused, as by an old kernel.
// loop takes --memory exposed (from allocate()), or --memory fresh (the same, anew for each call).
// An Error is printed to stderr as `rank R: SENTENCE`, and the exit status is then 1.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "comm/allocate.h"
#include "comm/bootstrap/start.h"
#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "comm/error.h"
#include "tests/bootstrap/wrapper.h"
#include "tests/collectives/collective_case.h"
#include "tests/collectives/hash_cases.h"
#include "tools/limits/probe.h"
#include "tools/support/faulty_transport.h"

namespace {

using namespace ringside;

std::atomic<int> stopped_by{0};
void note_signal(int signal) { stopped_by.store(signal); }

struct Arguments {
  std::string mode = "ok";
  std::string what, ready, memory;
  int threads = 0;
  int rank = 1;  // the one that misbehaves
  int op = 1;
  std::size_t bytes = 4;
  bool in_place = false, no_pidfd = false;
};

Arguments parse(int argc, char** argv) {
  Arguments it;
  if (argc > 1) it.mode = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--in-place" || option == "--no-pidfd") {
      (option == "--in-place" ? it.in_place : it.no_pidfd) = true;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : "";
    if (option == "--what") {
      it.what = value;
    } else if (option == "--memory") {
      it.memory = value;
    } else if (option == "--ready") {
      it.ready = value;
    } else if (option == "--threads") {
      it.threads = std::atoi(value);
    } else if (option == "--rank") {
      it.rank = std::atoi(value);
    } else if (option == "--op") {
      it.op = std::atoi(value);
    } else if (option != "--bytes" || !parse_bytes(value, it.bytes)) {
      throw Error(Fault::usage, text("%s %s is not understood", option.c_str(), value));
    }
  }
  return it;
}

void forbid_pidfd() {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(rules), rules};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
      ::syscall(SYS_pidfd_open, ::getpid(), 0) >= 0)
    throw_system("process descriptors cannot be refused");
}

// mpirun kills the other ranks as soon as two have ended: its pause of a second before SIGKILL is a
// sleep(), which the end of a child cuts short. So a rank that fails stays until all have spoken.
constexpr useconds_t kLastWords_us = 200'000;
// And not all at one moment: then the pauses last their full two seconds.
constexpr useconds_t kApart_us = 30'000;

constexpr std::size_t kCount = 300'001;  // several slices, and no rank count divides it

void print_hashes(Communicator& comm, const Arguments& arguments) {
  for (const Operation& what : test::hash_cases()) {
    const std::uint64_t hash = test::hash_of(comm, what, {.in_place = arguments.in_place});
    if (comm.rank() == 0) std::fputs(test::hash_line(what, hash).c_str(), stdout);
  }
}

// A buffer with a trap in its middle: the first touch there kills this process, as kill -9 would.
// No timer could hit the middle of a call so surely.
class TrappedBuffer {
 public:
  TrappedBuffer() {
    void* memory =
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw_system("cannot map memory");
    memory_ = static_cast<std::byte*>(memory);
    const std::size_t page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t middle = kCount * sizeof(float) / 2 / page_bytes * page_bytes;
    ::mprotect(memory_ + middle, page_bytes, PROT_NONE);
    struct sigaction action {};
    action.sa_handler = [](int) { ::kill(::getpid(), SIGKILL); };
    ::sigaction(SIGSEGV, &action, nullptr);
  }
  ~TrappedBuffer() { ::munmap(memory_, kBytes); }
  TrappedBuffer(const TrappedBuffer&) = delete;
  TrappedBuffer& operator=(const TrappedBuffer&) = delete;
  float* data() { return reinterpret_cast<float*>(memory_); }

 private:
  static constexpr std::size_t kBytes = kCount * sizeof(float);
  std::byte* memory_ = nullptr;
};

void loop(Communicator& comm, const Arguments& arguments) {
  std::vector<float> buffer(kCount, 1.0f);
  float* at = buffer.data();
  for (int i = 0;; ++i) {
    if (arguments.memory == "fresh" && i > 0) deallocate(at);
    if (arguments.memory == "fresh" || (arguments.memory == "exposed" && i == 0))
      at = static_cast<float*>(allocate(kCount * sizeof(float)));
    comm.all_reduce(at, at, kCount, DType::f32, Reduction::max);
    if (i != 3 || comm.rank() != 0 || arguments.ready.empty()) continue;
    if (std::FILE* file = std::fopen(arguments.ready.c_str(), "w")) std::fclose(file);
  }
}

void misbehave(Communicator& comm, const Arguments& arguments) {
  std::vector<float> buffer(kCount, 1.0f);
  for (int op = 1; op <= arguments.op + 1000; ++op) {
    if (comm.rank() == arguments.rank && op == arguments.op) {
      if (arguments.mode == "leave") return;
      // The others' alarm cannot interrupt a rank that makes no call; a signal can.
      for (int s = 0; arguments.mode == "stall" && s < 300 && stopped_by == 0; ++s)
        ::usleep(100'000);
      if (arguments.mode == "die") {
        TrappedBuffer trapped;
        comm.all_reduce(trapped.data(), trapped.data(), kCount, DType::f32, Reduction::max);
      }
    }
    comm.all_reduce(buffer.data(), buffer.data(), kCount, DType::f32, Reduction::max);
  }
}

// What is wrong is an Error. Two ranks of three write over what they have exposed at once.
void expose(Communicator& comm) {
  std::vector<test::Case> cases;
  for (std::uint64_t seed = 0; seed < 6; ++seed)
    for (const Kind kind : {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather,
                            Kind::broadcast, Kind::reduce, Kind::gather, Kind::scatter})
      for (const std::size_t count : {7u, 1003u, 9011u})
        cases.push_back({{kind, seed % 2 == 0 ? DType::f32 : DType::bf16, Reduction::sum,
                          static_cast<int>(seed) % comm.size(), count},
                         seed % 3 == 0,
                         static_cast<int>(seed % 4),
                         0,
                         cases.size()});
  test::RankMemory memory(test::Exposing::in_turn);
  for (const test::Case& it : cases) {
    const std::string wrong = perform(comm, it, test::expect(it, comm.size()), memory);
    if (!wrong.empty())
      throw Error(Fault::protocol, text("%s: %s", describe(it).c_str(), wrong.c_str()));
  }
  comm.barrier();
}

// A rank that ends, or stops, as soon as it has exposed something.
class SignalledHavingExposed : public PeerWindowAround {
 public:
  SignalledHavingExposed(std::unique_ptr<PeerWindow> inner, int signal_number)
      : PeerWindowAround(std::move(inner)), signal_number_(signal_number) {}
  std::byte* mapped() const override { return inner_->mapped(); }
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    PeerWindowAround::signal(cell, value, payload, payload_bytes);
    if ((value.fingerprint & kZeroCopyBit) != 0) ::raise(signal_number_);
  }

 private:
  int signal_number_;
};

void expose_once(Communicator& comm, const Arguments& arguments) {
  auto* at = static_cast<float*>(
      allocate(kCount * sizeof(float) * static_cast<std::size_t>(comm.size() + 1)));
  if (arguments.what != "send")
    comm.all_gather(at, at + kCount, kCount, DType::f32);
  else if (comm.rank() != arguments.rank)
    comm.recv(at, kCount, DType::f32, arguments.rank);
  for (int to = 0; arguments.what == "send" && to < comm.size(); ++to)
    if (comm.rank() == arguments.rank && to != arguments.rank)
      comm.send(at, kCount, DType::f32, to);
  comm.barrier();
}

// Every rank makes the same call, of `bytes` bytes of f32; rank 1 another one.
void mismatch(Communicator& comm, const Arguments& arguments) {
  const bool odd = comm.rank() == 1;
  const std::size_t count = arguments.bytes / sizeof(float);
  std::vector<float> send(count + 1), recv((count + 1) * static_cast<std::size_t>(comm.size()));
  if (odd && arguments.what == "operation")
    return comm.all_gather(send.data(), recv.data(), count, DType::f32);
  comm.all_reduce(send.data(), recv.data(), odd && arguments.what == "count" ? count + 1 : count,
                  odd && arguments.what == "type" ? DType::i32 : DType::f32,
                  odd && arguments.what == "reduction" ? Reduction::max : Reduction::sum);
}

void ok(Communicator& comm) {
  std::vector<float> buffer(kCount, 1.0f);
  for (int i = 0; i < 3; ++i)
    comm.all_reduce(buffer.data(), buffer.data(), kCount, DType::f32, Reduction::sum);
  comm.barrier();
}

// After the last meeting before the probe measures: then all others wait for the ring.
void die_in_probe(Bootstrap& bootstrap, const Arguments& arguments) {
  tools::ProbeOptions options;
  options.interrupted = &stopped_by;
  options.most_bytes = std::size_t{64} << 10;
  test::BootstrapAround dies(bootstrap, test::kMeetingsToJoinTheProbe, [] {
    ::usleep(100'000);  // until the others have left the meeting
    ::kill(::getpid(), SIGKILL);
  });
  tools::probe_machine(bootstrap.rank() == arguments.rank ? dies : bootstrap, options);
}

// Returns the rank's exit status.
int run(Bootstrap& bootstrap, const Arguments& arguments) {
  try {
    Options options = Options::from_environment();
    options.interrupted = &stopped_by;
    const bool having_exposed = arguments.mode.ends_with("-having-exposed");
    if (having_exposed && bootstrap.rank() == arguments.rank)
      options.decorate = decorate_with<SignalledHavingExposed>(
          arguments.mode.starts_with("die") ? SIGKILL : SIGSTOP);
    Communicator comm(bootstrap, options);
    if (arguments.mode == "ok") {
      ok(comm);
    } else if (arguments.mode == "hash") {
      print_hashes(comm, arguments);
    } else if (arguments.mode == "loop") {
      loop(comm, arguments);
    } else if (arguments.mode == "expose") {
      expose(comm);
    } else if (having_exposed) {
      expose_once(comm, arguments);
    } else if (arguments.mode == "die-in-probe") {
      die_in_probe(bootstrap, arguments);
    } else if (arguments.mode == "mismatch") {
      mismatch(comm, arguments);
    } else if (arguments.mode == "die" || arguments.mode == "leave" || arguments.mode == "stall") {
      misbehave(comm, arguments);
    } else {
      throw Error(Fault::usage, text("there is no mode '%s'", arguments.mode.c_str()));
    }
    return 0;
  } catch (const Error& error) {
    // One write, so that the lines of several ranks do not mix.
    const std::string line = text("rank %d: %s\n", bootstrap.rank(), error.what());
    std::fwrite(line.data(), 1, line.size(), stderr);
    return 1;
  }
}

int run_world(const Arguments& arguments) {
  if (arguments.no_pidfd) forbid_pidfd();
  ::signal(SIGTERM, note_signal);
  if (arguments.threads == 0 && launcher() != Launcher::none) {
    const std::unique_ptr<Bootstrap> bootstrap = start_bootstrap(&stopped_by);
    // Again, as MPI installs handlers of its own. mpirun sends SIGTERM when another rank died.
    ::signal(SIGTERM, note_signal);
    const int status = run(*bootstrap, arguments);
    std::fflush(nullptr);
    if (status != 0) {
      bootstrap->abandon();
      ::usleep(kLastWords_us + static_cast<useconds_t>(bootstrap->rank()) * kApart_us);
    }
    return status;
  }
  std::atomic<int> status{0};
  run_as_threads(std::max(1, arguments.threads), [&](Bootstrap& bootstrap) {
    if (run(bootstrap, arguments) != 0) status = 1;
  });
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_world(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank_program: %s\n", error.what());
    return 2;
  }
}
