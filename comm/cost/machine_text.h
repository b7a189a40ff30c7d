// A machine as a small text, one fact a line, to be read, written and edited:
//
//     # what stands behind a hash is for people
//     name           two-hosts
//     hosts          2
//     ranks-per-host 8
//     cores-per-host 8                                            fewer than ranks: they take turns
//     call           6.6us                                        once a call
//     message        0ns                                          each message, at either end
//     link           same-host latency 0.6us bandwidth 450GB/s    per rank and direction
//     link           between-hosts latency 2.7us bandwidth 400GB/s   per host and direction
//     slot           0ns                                          each that is longer than a cell
//     copy           64KiB 90GB/s                                 of operands of 64 KiB
//     copy           1MiB 40GB/s                                  growing; between them: log-linear
//     reduce         64KiB 60GB/s
//     ring-slots     8 x 16MiB
//     mesh-slots     4 x 128KiB
//
// Times in ns, us, ms or s; rates in GB/s (10⁹ bytes); sizes in bytes or with K M G (KiB MiB GiB),
// powers of 1024. A link without bandwidth is memory that both ends can reach: what that means, and
// what each fact is for, is told in machine.h. Everything may be left out but the links that there
// are ranks for. Words are printable ASCII or UTF-8, counts are digits, and there are at most a
// million ranks.
#pragma once

#include <string>

#include "comm/cost/machine.h"

namespace ringside {

// Throws Error{usage} with one sentence, which begins with `where` and the line.
Machine parse_machine(const std::string& words, const std::string& where);

// Text that parse_machine() reads back as the same machine, to four digits.
std::string write_machine(const Machine& machine);

}  // namespace ringside
