// Open MPI (or another MPI) as a baseline: its collectives on the communicator of all ranks.
//
// This is the only place where MPI moves data. ringside itself uses MPI for the meeting at the
// start alone (comm/bootstrap/mpi.h), which has also initialised it.
//
// MPI knows no average, so where a row asks for avg its side is a sum. In place it has a word of
// its own, MPI_IN_PLACE; tables with a baseline are out of place.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <numeric>
#include <vector>

#include "comm/error.h"
#include "tools/baselines/baseline.h"

namespace ringside::tools {
namespace {

// MPI_DATATYPE_NULL where MPI has no such type: f16 and bf16.
MPI_Datatype type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return MPI_FLOAT;
    case DType::f64:
      return MPI_DOUBLE;
    case DType::i32:
      return MPI_INT32_T;
    case DType::i64:
      return MPI_INT64_T;
    case DType::u8:
      return MPI_UINT8_T;
    default:
      return MPI_DATATYPE_NULL;
  }
}

MPI_Op op_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::product:
      return MPI_PROD;
    case Reduction::min:
      return MPI_MIN;
    case Reduction::max:
      return MPI_MAX;
    default:
      return MPI_SUM;
  }
}

class MpiBaseline : public Baseline {
 public:
  MpiBaseline() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
  }
  ~MpiBaseline() override { MPI_Comm_free(&comm_); }

  const char* name() const override { return "mpi"; }

  std::string version() const override {
    char words[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(words, &length);
    const std::string all(words, static_cast<std::size_t>(length));
    std::string line = all.substr(0, all.find_first_of("\n,"));
    std::replace(line.begin(), line.end(), '\t', ' ');  // MPICH writes a table
    return line;
  }

  Part part_of(const Operation& what) const override {
    // What only moves is moved as bytes, of whatever type. Where each rank has a part, MPI may send
    // several as one message: all of them together must fit.
    const std::size_t counted = whole_count(what, size_);
    if (has_reduction(what.kind) && counted > INT_MAX)
      return {std::nullopt, "mpi counts elements in an int"};
    if (!has_reduction(what.kind) && counted * bytes_of(what.dtype) > INT_MAX)
      return {std::nullopt, "mpi counts bytes in an int"};
    if (has_reduction(what.kind) && type_of(what.dtype) == MPI_DATATYPE_NULL)
      return {std::nullopt, text("mpi has no type %s to reduce", name_of(what.dtype))};
    const bool adds = what.reduction == Reduction::sum || what.reduction == Reduction::avg;
    // Found by this bench's own check, and so it is in Open MPI 4.1's AVX code (adds_epu8).
    if (has_reduction(what.kind) && adds && what.dtype == DType::u8)
      return {std::nullopt, "mpi's sum of u8 may stop at 255, where ringside's wraps around"};
    return sum_for_avg(what, "mpi has no avg: its side of those rows is a sum");
  }

  void call(const Operation& what, Sides at) override { make(what, at, false); }
  void start(const Operation& what, Sides at) override { make(what, at, true); }
  void finish() override { MPI_Waitall(2, requests_, MPI_STATUSES_IGNORE); }

 private:
  static std::size_t bytes(const Operation& what) { return what.count * bytes_of(what.dtype); }

  // MPI wants to know where each part begins, too.
  const int* starts_of(const std::vector<int>& counts) {
    starts_.resize(counts.size());
    std::exclusive_scan(counts.begin(), counts.end(), starts_.begin(), 0);
    return starts_.data();
  }

  void make(const Operation& what, Sides at, bool at_once) {
    // The two ways of one call take the same arguments, but for the request.
    const auto call = [&](auto blocking, auto returning, const auto&... arguments) {
      if (at_once)
        returning(arguments..., comm_, &requests_[0]);
      else
        blocking(arguments..., comm_);
    };
    if (has_reduction(what.kind))
      reduce(what, at, call);
    else if (what.kind == Kind::send_recv)
      send_recv(static_cast<int>(bytes(what)), at, at_once);
    else
      move(what, at, call);
  }

  template <class Call>
  void reduce(const Operation& what, Sides at, const Call& call) {
    const int count = static_cast<int>(what.count);
    const MPI_Datatype type = type_of(what.dtype);
    const MPI_Op op = op_of(what.reduction);
    if (what.kind == Kind::all_reduce)
      call(MPI_Allreduce, MPI_Iallreduce, at.send, at.recv, count, type, op);
    else if (what.kind == Kind::reduce_scatter_v)
      call(MPI_Reduce_scatter, MPI_Ireduce_scatter, at.send, at.recv,
           counts_.of(what.count, size_).data(), type, op);
    else if (what.kind == Kind::reduce_scatter)
      call(MPI_Reduce_scatter_block, MPI_Ireduce_scatter_block, at.send, at.recv, count, type, op);
    else
      call(MPI_Reduce, MPI_Ireduce, at.send, at.recv, count, type, op, what.root);
  }

  template <class Call>
  void move(const Operation& what, Sides at, const Call& call) {
    const int count = static_cast<int>(bytes(what));
    const MPI_Datatype type = MPI_BYTE;
    switch (what.kind) {
      case Kind::all_gather:
        return call(MPI_Allgather, MPI_Iallgather, at.send, count, type, at.recv, count, type);
      case Kind::all_gather_v: {
        const std::vector<int>& counts = counts_.of(what.count, size_, bytes_of(what.dtype));
        return call(MPI_Allgatherv, MPI_Iallgatherv, at.send,
                    counts[static_cast<std::size_t>(rank_)], type, at.recv, counts.data(),
                    starts_of(counts), type);
      }
      case Kind::broadcast:
        return call(MPI_Bcast, MPI_Ibcast, at.recv, count, type, what.root);
      case Kind::gather:
        return call(MPI_Gather, MPI_Igather, at.send, count, type, at.recv, count, type, what.root);
      case Kind::scatter:
        return call(MPI_Scatter, MPI_Iscatter, at.send, count, type, at.recv, count, type,
                    what.root);
      case Kind::all_to_all:
        return call(MPI_Alltoall, MPI_Ialltoall, at.send, count, type, at.recv, count, type);
      default:
        return call(MPI_Barrier, MPI_Ibarrier);
    }
  }

  // MPI-3 has no MPI_Isendrecv.
  void send_recv(int bytes, Sides at, bool at_once) {
    const int right = (rank_ + 1) % size_, left = (rank_ + size_ - 1) % size_;
    if (!at_once) {
      MPI_Sendrecv(at.send, bytes, MPI_BYTE, right, 0, at.recv, bytes, MPI_BYTE, left, 0, comm_,
                   MPI_STATUS_IGNORE);
      return;
    }
    MPI_Irecv(at.recv, bytes, MPI_BYTE, left, 0, comm_, &requests_[0]);
    MPI_Isend(at.send, bytes, MPI_BYTE, right, 0, comm_, &requests_[1]);
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  MPI_Request requests_[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  int rank_ = 0, size_ = 1;
  KeptCounts<int> counts_;
  std::vector<int> starts_;
};

}  // namespace

std::unique_ptr<Baseline> make_mpi_baseline() { return std::make_unique<MpiBaseline>(); }

}  // namespace ringside::tools
