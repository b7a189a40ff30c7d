// Who started a process: what tells the jobs of one host apart where no secret does.
//
// Ranks of one job have one launcher (a shell, a script, torchrun's agent): the nearest ancestor
// without a RANK of its own in its environment, so that a wrapper around each rank is none. Or they
// are in one process group: those of a script that has ended meanwhile, and is nobody's ancestor.
// Two jobs that one shell starts on one port are not told apart. This is against mistakes; against
// other users there is the secret.
#pragma once

#include <cstdint>
#include <string>

namespace ringside {

struct Origin {
  std::uint32_t user = 0;
  std::int32_t process_group = 0;
  std::uint64_t launcher = 0;
  std::uint64_t launcher_started = 0;  // pids are used again
};

Origin my_origin();
bool same_origin(const Origin& a, const Origin& b);
std::string words_of(const Origin& it);  // "started by process 4711 of user 1000"

}  // namespace ringside
