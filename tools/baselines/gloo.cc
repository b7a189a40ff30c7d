// Gloo as a baseline: its own TCP transport on this host's loopback, its ranks introduced to each
// other through our bootstrap, whichever that is.
//
// Gloo lets its caller say how elements are reduced. Here it gets ringside's own loops: so what is
// compared is how data moves, and all types and reductions are there.
//
// Gloo sends and receives on a thread of its own, and needs more care than a library that does not.
// On a rank that is bound to one core the two stand in each other's way: so while gloo works the
// rank is not bound. And a rank that is done would spin in our next meeting, and may keep a core
// from a thread that still has bytes to send for others: that costs them 4 ms, a tick of the
// kernel's clock. So after a sample the ranks meet in gloo, which sleeps where we spin.
#include <gloo/allgather.h>
#include <gloo/allgatherv.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/common/error.h>
#include <gloo/config.h>
#include <gloo/gather.h>
#include <gloo/reduce.h>
#include <gloo/rendezvous/context.h>
#include <gloo/scatter.h>
#include <gloo/transport/tcp/device.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>

#include "comm/error.h"
#include "kernels/loops.h"
#include "tools/baselines/baseline.h"

namespace ringside::tools {
namespace {

constexpr useconds_t kRest_us = 200;

// What gloo asks of its store: each rank puts a value under a key that ends in its number
// ("rank_2", then "2"), all of them in the same order, and then reads the others'. That is an
// all-gather, which a bootstrap has.
class BootstrapStore : public gloo::rendezvous::Store {
 public:
  BootstrapStore(Bootstrap& bootstrap, Deadline deadline)
      : bootstrap_(bootstrap), deadline_(deadline) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    const std::string name = key.substr(0, key.find_last_not_of("0123456789") + 1);
    const auto lengths = bootstrap_.all_gather(data.size(), deadline_);
    const std::size_t longest = *std::max_element(lengths.begin(), lengths.end());
    std::vector<char> mine = data, all(longest * lengths.size());
    mine.resize(longest);
    bootstrap_.all_gather_bytes(mine.data(), longest, all.data(), deadline_);
    for (std::size_t rank = 0; rank < lengths.size(); ++rank) {
      const char* const begin = all.data() + rank * longest;
      values_[name + std::to_string(rank)].assign(begin, begin + lengths[rank]);
    }
  }
  std::vector<char> get(const std::string& key) override { return values_.at(key); }
  void wait(const std::vector<std::string>&) override {}
  void wait(const std::vector<std::string>&, const std::chrono::milliseconds&) override {}

 private:
  Bootstrap& bootstrap_;
  const Deadline deadline_;
  std::map<std::string, std::vector<char>> values_;
};

class GlooBaseline : public Baseline {
 public:
  GlooBaseline(Bootstrap& bootstrap, double timeout_s)
      : context_(std::make_shared<gloo::rendezvous::Context>(bootstrap.rank(), bootstrap.size())) {
    prepare();  // the thread made here inherits where it may run
    gloo::transport::tcp::attr loopback("127.0.0.1");
    auto device = gloo::transport::tcp::CreateDevice(loopback);
    context_->setTimeout(timeout_of(timeout_s));
    BootstrapStore store(bootstrap, Deadline::after_seconds(timeout_s));
    context_->connectFullMesh(store, device);
    recover();
  }

  const char* name() const override { return "gloo"; }

  std::string version() const override {
    return text("Gloo %d.%d.%d, TCP on loopback", GLOO_VERSION_MAJOR, GLOO_VERSION_MINOR,
                GLOO_VERSION_PATCH);
  }

  void prepare() override {
    ::sched_getaffinity(0, sizeof before_, &before_);
    run_anywhere();
  }
  void recover() override {
    gloo::BarrierOptions options(context_);
    gloo::barrier(options);
    ::usleep(kRest_us);
    ::sched_setaffinity(0, sizeof before_, &before_);
  }

  Part part_of(const Operation& what) const override {
    if (what.kind == Kind::reduce_scatter || what.kind == Kind::reduce_scatter_v ||
        what.kind == Kind::send_recv)
      return {std::nullopt, text("gloo has no call for %s", row_name(what.kind))};
    if (what.kind == Kind::all_gather_v && ragged_counts(what.count, context_->size)[0] == 0)
      return {std::nullopt, "gloo takes no part of no elements"};
    return sum_for_avg(what, "gloo has no avg: its side of those rows is a sum");
  }

  void call(const Operation& what, Sides at) override {
    if (what.count == 0 && what.kind != Kind::barrier) return;  // gloo refuses empty buffers
    visit(what.dtype, [&](auto tag) { call_as<typename decltype(tag)::type>(what, at); });
  }

 private:
  // Gloo's 0 is no timeout too, so the shortest one is a millisecond. A year stands for every
  // longer one, as in comm/util/deadline.h.
  static std::chrono::milliseconds timeout_of(double timeout_s) {
    if (timeout_s <= 0) return gloo::kNoTimeout;
    const double ms = std::clamp(timeout_s * 1e3, 1.0, 365.0 * 86400e3);
    return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
  }

  static void run_anywhere() {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof all);
    ::sched_setaffinity(0, sizeof all, &all);
  }

  template <class T>
  void call_as(const Operation& what, Sides at) {
    auto* const in = reinterpret_cast<T*>(at.send);
    auto* const out = reinterpret_cast<T*>(at.recv);
    const bool is_root = context_->rank == what.root;
    const std::size_t part = what.count, all = part * static_cast<std::size_t>(context_->size);
    switch (what.kind) {
      case Kind::all_reduce: {
        gloo::AllreduceOptions options(context_);
        options.setInput(in, part);
        options.setOutput(out, part);
        options.setReduceFunction(reduce_loop(what.dtype, what.reduction));
        return gloo::allreduce(options);
      }
      case Kind::reduce: {
        gloo::ReduceOptions options(context_);
        options.setInput(in, part);
        options.setOutput(out, part);  // gloo needs one on every rank
        options.setRoot(what.root);
        options.setReduceFunction(reduce_loop(what.dtype, what.reduction));
        return gloo::reduce(options);
      }
      case Kind::all_gather: {
        gloo::AllgatherOptions options(context_);
        options.setInput(in, part);
        options.setOutput(out, all);
        return gloo::allgather(options);
      }
      case Kind::all_gather_v: {
        gloo::AllgathervOptions options(context_);
        const std::vector<std::size_t>& counts = counts_.of(what.count, context_->size);
        options.setInput(in, counts[static_cast<std::size_t>(context_->rank)]);
        options.setOutput(out, counts);
        return gloo::allgatherv(options);
      }
      case Kind::broadcast: {
        gloo::BroadcastOptions options(context_);
        options.setOutput(out, part);
        options.setRoot(what.root);
        return gloo::broadcast(options);
      }
      case Kind::gather: {
        gloo::GatherOptions options(context_);
        options.setInput(in, part);
        if (is_root) options.setOutput(out, all);
        options.setRoot(what.root);
        return gloo::gather(options);
      }
      case Kind::scatter: {
        gloo::ScatterOptions options(context_);
        std::vector<T*> parts;
        for (int rank = 0; is_root && rank < context_->size; ++rank)
          parts.push_back(in + static_cast<std::size_t>(rank) * part);
        if (is_root) options.setInputs(parts, part);
        options.setOutput(out, part);
        options.setRoot(what.root);
        return gloo::scatter(options);
      }
      case Kind::all_to_all: {
        gloo::AlltoallOptions options(context_);
        options.setInput(in, all);
        options.setOutput(out, all);
        return gloo::alltoall(options);
      }
      default: {
        gloo::BarrierOptions options(context_);
        return gloo::barrier(options);
      }
    }
  }

  std::shared_ptr<gloo::rendezvous::Context> context_;
  cpu_set_t before_{};
  KeptCounts<std::size_t> counts_;
};

}  // namespace

std::unique_ptr<Baseline> make_gloo_baseline(Bootstrap& bootstrap, double timeout_s) {
  return std::make_unique<GlooBaseline>(bootstrap, timeout_s);
}

}  // namespace ringside::tools
