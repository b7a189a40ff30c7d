// A library that plays NCCL for the bench's tests, on the host's memory and for threads of one
// process: the loader finds it by RINGSIDE_NCCL. It sums f32 and moves bytes, no more.
//
// FAKE_NCCL says how it behaves: "duplicate" refuses ranks that share a GPU, in the true one's
// words; "wrong" spoils the first byte of every result.
#include <nccl.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

bool is_told(const char* behaviour) {
  const char* const wanted = std::getenv("FAKE_NCCL");
  return wanted != nullptr && std::strcmp(wanted, behaviour) == 0;
}

std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

struct Sent {
  const void* from;
  int to;
};

// Where ranks meet.
struct World {
  explicit World(int ranks) : size(ranks), at(index(ranks)), sent(index(ranks)) {}
  void meet() {
    std::unique_lock lock(mutex);
    const int turn = turns;
    if (++here == size) {
      here = 0;
      ++turns;
      all_here.notify_all();
    } else {
      all_here.wait(lock, [&] { return turns != turn; });
    }
  }
  const int size;
  std::vector<const void*> at;          // what each rank gives
  std::vector<std::vector<Sent>> sent;  // in a group
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0, turns = 0;
};

struct Received {
  void* to;
  std::size_t bytes;
  int from;
};

}  // namespace

struct ncclComm {
  std::shared_ptr<World> world;
  int rank;
  std::vector<Received> receives;
};

namespace {

std::mutex worlds_mutex;
std::map<int, std::shared_ptr<World>> worlds;
thread_local ncclComm* grouped = nullptr;

// Every rank's input, while all of them are here.
template <class Use>
ncclResult_t together(ncclComm* comm, const void* mine, void* out, const Use& use) {
  World& world = *comm->world;
  world.at[index(comm->rank)] = mine;
  world.meet();
  const std::vector<char> result = use(world.at);
  world.meet();
  if (!result.empty()) std::memcpy(out, result.data(), result.size());
  if (!result.empty() && is_told("wrong")) *static_cast<char*>(out) ^= 0x40;
  return ncclSuccess;
}

std::vector<char> bytes_at(const void* from, std::size_t bytes) {
  const char* const at = static_cast<const char*>(from);
  return {at, at + bytes};
}

std::vector<char> sum(const std::vector<const void*>& inputs, std::size_t first,
                      std::size_t count) {
  std::vector<float> sums(count);
  for (const void* input : inputs)
    for (std::size_t i = 0; i < count; ++i) sums[i] += static_cast<const float*>(input)[first + i];
  return bytes_at(sums.data(), count * sizeof(float));
}

std::size_t bytes_of(ncclDataType_t type) {
  return type == ncclFloat32 || type == ncclInt32   ? 4
         : type == ncclFloat64 || type == ncclInt64 ? 8
         : type == ncclUint8                        ? 1
                                                    : 2;
}

bool sums(ncclDataType_t type, ncclRedOp_t op) { return type == ncclFloat32 && op == ncclSum; }

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = 22899;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> next{1};
  const int number = next++;
  std::memcpy(id->internal, &number, sizeof number);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (is_told("duplicate")) {
    *comm = nullptr;
    return ncclInvalidUsage;
  }
  int number = 0;
  std::memcpy(&number, id.internal, sizeof number);
  std::shared_ptr<World> world;
  {
    const std::lock_guard lock(worlds_mutex);
    std::shared_ptr<World>& it = worlds[number];
    if (!it) it = std::make_shared<World>(size);
    world = it;
  }
  *comm = new ncclComm{world, rank, {}};
  return config->blocking == 0 ? ncclInProgress : ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* result) {
  *result = ncclSuccess;
  return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return ncclCommAbort(comm); }
const char* ncclGetErrorString(ncclResult_t) { return "invalid usage"; }
const char* ncclGetLastError(ncclComm_t) {
  return is_told("duplicate")
             ? "Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 1000"
             : "";
}

ncclResult_t ncclAllReduce(const void* send, void* recv, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  if (!sums(type, op)) return ncclInvalidArgument;
  return together(comm, send, recv, [&](const auto& inputs) { return sum(inputs, 0, count); });
}

ncclResult_t ncclReduceScatter(const void* send, void* recv, size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  if (!sums(type, op)) return ncclInvalidArgument;
  return together(comm, send, recv, [&](const auto& inputs) {
    return sum(inputs, index(comm->rank) * count, count);
  });
}

ncclResult_t ncclReduce(const void* send, void* recv, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t) {
  if (!sums(type, op)) return ncclInvalidArgument;
  return together(comm, send, recv, [&](const auto& inputs) {
    return sum(inputs, 0, comm->rank == root ? count : 0);
  });
}

ncclResult_t ncclAllGather(const void* send, void* recv, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t) {
  return together(comm, send, recv, [&](const auto& inputs) {
    std::vector<char> all;
    for (const void* input : inputs) {
      const std::vector<char> one = bytes_at(input, count * bytes_of(type));
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  });
}

ncclResult_t ncclBroadcast(const void* send, void* recv, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t) {
  return together(comm, send, recv, [&](const auto& inputs) {
    return bytes_at(inputs[index(root)], count * bytes_of(type));
  });
}

ncclResult_t ncclGroupStart() { return ncclSuccess; }

ncclResult_t ncclSend(const void* from, size_t, ncclDataType_t, int to, ncclComm_t comm,
                      cudaStream_t) {
  grouped = comm;
  comm->world->sent[index(comm->rank)].push_back({from, to});
  return ncclSuccess;
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int from, ncclComm_t comm,
                      cudaStream_t) {
  grouped = comm;
  comm->receives.push_back({to, count * bytes_of(type), from});
  return ncclSuccess;
}

// One message from each to each at most, so the first one found is the one. (A rank that has none
// in a group does not come here, and nobody may wait for it: the bench makes no such group.)
ncclResult_t ncclGroupEnd() {
  ncclComm* const comm = grouped;
  if (comm == nullptr) return ncclInvalidUsage;
  World& world = *comm->world;
  world.meet();
  for (const Received& it : comm->receives)
    for (const Sent& sent : world.sent[index(it.from)])
      if (sent.to == comm->rank) std::memcpy(it.to, sent.from, it.bytes);
  world.meet();
  comm->receives.clear();
  world.sent[index(comm->rank)].clear();
  return ncclSuccess;
}

}  // extern "C"
