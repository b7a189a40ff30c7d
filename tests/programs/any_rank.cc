// A rank that lets start_bootstrap choose, and says what it got; by any launcher or by none.
//
//   any_rank           "rank 0 of 3, bootstrap tcp: sum 6"
//   any_rank RANK      that rank throws after the start, and its exception leaves main's scope; the
//                      others notice nothing and wait until their launcher ends them
//   any_rank env       shows what a program that it starts inherits, and what others see of it
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "comm/bootstrap/start.h"
#include "comm/communicator.h"

int main(int argc, char** argv) {
  using namespace ringside;
  try {
    const auto bootstrap = start_bootstrap();
    Communicator comm(*bootstrap);
    if (argc > 1 && std::strcmp(argv[1], "env") == 0)
      return std::system("env; tr '\\0' '\\n' < /proc/$PPID/environ");
    if (argc > 1 && std::atoi(argv[1]) == comm.rank())
      throw Error(Fault::system, text("rank %d fails on purpose", comm.rank()));
    if (argc > 1) ::pause();
    double value = comm.rank() + 1;
    comm.all_reduce(&value, &value, 1, DType::f64, Reduction::sum);
    std::printf("rank %d of %d, bootstrap %s: sum %g\n", comm.rank(), comm.size(),
                bootstrap->name(), value);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "any_rank: %s\n", error.what());
    return 1;
  }
}
