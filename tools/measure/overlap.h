// Calls that overlap with computing, as training makes them: a rank starts the call, computes
// something else, and only then waits for the result.
//
// What is computed needs registers alone, so it and the call do not share the memory's bandwidth;
// they do share the cores. It is an amount of work and not a stretch of time: where a library's
// thread takes the core away, the rank still has all of it to do, and the whole takes longer.
#pragma once

#include <cstdint>

#include "tools/support/call.h"

namespace ringside::tools {

class Computation {
 public:
  // As much as this thread does here in `us` microseconds of a core. Measures that.
  explicit Computation(double us);
  void run() const;

 private:
  std::int64_t steps_ = 0;
};

// A library whose every call is started, overlapped with computing, and finished.
class Overlap : public Library {
 public:
  Overlap(Library& library, const Computation& computation)
      : library_(library), computation_(computation) {}
  const char* name() const override { return library_.name(); }
  void call(const Operation& what, Sides at) override {
    library_.start(what, at);
    computation_.run();
    library_.finish();
  }
  Part part_of(const Operation& what) const override { return library_.part_of(what); }
  void prepare() override { library_.prepare(); }
  void recover() override { library_.recover(); }
  bool has_our_bits() const override { return library_.has_our_bits(); }

 private:
  Library& library_;
  const Computation& computation_;
};

}  // namespace ringside::tools
