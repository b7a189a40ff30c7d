// The first program with ringside: every rank brings a number, and every rank gets the sum.
#include <cstdio>

#include <ringside/bootstrap/start.h>
#include <ringside/communicator.h>

int main() try {
  // Who am I, and who else is there? From whoever started us; alone, if nobody did.
  const auto bootstrap = ringside::start_bootstrap();
  ringside::Communicator comm(*bootstrap);

  double value = comm.rank() + 1;
  comm.all_reduce(&value, &value, 1, ringside::DType::f64, ringside::Reduction::sum);

  std::printf("rank %d of %d: the sum of 1 to %d is %g\n", comm.rank(), comm.size(), comm.size(),
              value);
  return 0;
} catch (const ringside::Error& error) {  // one sentence: what, where, and what to do
  std::fprintf(stderr, "hello_allreduce: %s\n", error.what());
  return 1;
}
