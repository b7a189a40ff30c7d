// A program that exposes memory, and goes on with it: tests/transport/allocate.cc and
// tests/transport/allocate_processes.cc start it.
//
//   owner at-exit           gives memory back by an object that outlives main
#include <cstdio>
#include <cstring>
#include <string>

#include "comm/allocate.h"
#include "comm/error.h"

namespace {

using namespace ringside;

// Made before the first allocation, and so gone after whatever came with that.
struct Holder {
  void* memory = nullptr;
  ~Holder() {
    try {
      deallocate(memory);
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
  }
};
Holder holder;

int hold_until_exit() {
  holder.memory = allocate(100'000);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "at-exit") return hold_until_exit();
  std::fprintf(stderr, "usage: owner at-exit\n");
  return 2;
}
