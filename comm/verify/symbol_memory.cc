// What a rank may read, and what it has when it is done; the rules are in symbol_memory.h.
#include "comm/verify/symbol_memory.h"

#include "comm/verify/prove.h"

namespace ringside {

ProofMemory::ProofMemory(Kind kind, int rank, int size, std::size_t slices, const ProofRules& rules)
    : specification_(kind),
      rank_(rank),
      size_(size),
      slices_(slices),
      in_place_(rules.in_place),
      root_(rules.root),
      group_ranks_(rules.group_ranks),
      input_(slices * static_cast<std::size_t>(size)),
      output_(slices * static_cast<std::size_t>(size)),
      waited_(static_cast<std::size_t>(size), nullptr) {
  for (std::size_t slice = 0; slice < slices; ++slice)
    for (int chunk = 0; chunk < size; ++chunk)
      input_[at(chunk, slice)] = initial(kind, rank, chunk, slice, root_, size);
}

std::size_t ProofMemory::at(int chunk, std::size_t slice) const {
  return slice * static_cast<std::size_t>(size_) + static_cast<std::size_t>(chunk);
}

int ProofMemory::name_at(Piece piece) const {
  return piece.place == Place::output ? belongs(specification_, rank_, piece.chunk) : piece.chunk;
}

const Value& ProofMemory::read(Piece piece, std::size_t slice, const char* doing) const {
  const bool old = piece.place == Place::partial && old_partial_;
  const Slot& found = old ? old_partial_ : slot(*this, piece, slice);
  if (!found)
    throw Violation{text("rank %d %s chunk %d, which it does not have", rank_, doing, piece.chunk)};
  if (found->chunk != name_at(piece) || found->slice != slice)
    throw Violation{
        text("rank %d %s chunk %d of slice %zu, but what it holds there is chunk %d of slice %zu",
             rank_, doing, piece.chunk, slice, found->chunk, found->slice)};
  return *found;
}

void ProofMemory::write(Piece piece, std::size_t slice, const Value& value) {
  slot(*this, piece, slice) = value;
}

void ProofMemory::add_own(Value& received, Place place, std::size_t slice) const {
  const Value& own = read({place, received.chunk}, slice, "adds its");
  if (received.finished)
    throw Violation{text("rank %d adds to chunk %d, which is finished", rank_, received.chunk)};
  append(received.fold, own.fold);
}

void ProofMemory::copy_input(int chunk, std::size_t slice) {
  const Value value = read({Place::input, chunk}, slice, "keeps");
  write({Place::output, chunk}, slice, value);
}

void ProofMemory::post_op(Piece piece, std::size_t slice) {
  Value value = read(piece, slice, "finishes");
  if (value.finished) throw Violation{text("rank %d finishes chunk %d twice", rank_, value.chunk)};
  value.finished = true;
  write(piece, slice, value);
}

std::vector<Value> ProofMemory::whole_input() const {
  std::vector<Value> all;
  for (int chunk = 0; chunk < size_; ++chunk)
    all.push_back(read({Place::input, chunk}, 0, "shows"));
  return all;
}

void ProofMemory::wait_input(int peer, const SymbolChannel& channel) {
  waited_[static_cast<std::size_t>(peer)] = &channel;
}

void ProofMemory::wait_own_input(const std::optional<Piece>& piece, std::size_t slice) {
  own_ = piece ? std::vector{read(*piece, slice, "looks at its")} : whole_input();
}

const Value& ProofMemory::view(int from, int chunk, std::size_t slice) const {
  const SymbolChannel* channel = waited_[static_cast<std::size_t>(from)];
  if (from == rank_ ? own_.empty() : channel == nullptr)
    throw Violation{text("rank %d folds rank %d's chunk %d %s", rank_, from, chunk,
                         released_ ? "after it has looked away" : "without having looked at it")};
  const std::vector<Value>& pieces = from == rank_ ? own_ : channel->front().pieces;
  const Value& found = pieces.size() == 1 ? pieces[0] : pieces[static_cast<std::size_t>(chunk)];
  if (found.chunk != chunk || found.slice != slice)
    throw Violation{
        text("rank %d folds chunk %d of slice %zu, and of rank %d it looks at chunk %d of "
             "slice %zu",
             rank_, chunk, slice, from, found.chunk, found.slice)};
  if (from != rank_ && channel->front().owner != nullptr)
    channel->front().owner->check_exposed({channel->front().place, chunk}, found, rank_);
  return found;
}

// The first contribution is only remembered; the second makes a sum of the two.
void ProofMemory::reduce_input(int chunk, int from, int order, std::size_t slice) {
  const Value& contribution = view(from, chunk, slice);
  if (order == 1) {
    first_ = contribution;
    return;
  }
  if (order == 2 && (!first_ || first_->chunk != chunk || first_->slice != slice))
    throw Violation{
        text("rank %d adds a second contribution to chunk %d, which has no first", rank_, chunk)};
  if (order == 2) write({Place::output, chunk}, slice, *first_);
  if (read({Place::output, chunk}, slice, "adds to").finished)
    throw Violation{text("rank %d adds to chunk %d, which is finished", rank_, chunk)};
  append(slot(*this, {Place::output, chunk}, slice)->fold, contribution.fold);
}

std::vector<int> ProofMemory::release_inputs() {
  std::vector<int> seen;
  for (int peer = 0; peer < size_; ++peer)
    if (waited_[static_cast<std::size_t>(peer)] != nullptr) seen.push_back(peer);
  waited_.assign(waited_.size(), nullptr);
  own_.clear();
  released_ = true;
  return seen;
}

void ProofMemory::check_exposed(Piece piece, const Value& meant, int reader) const {
  if (slot(*this, piece, meant.slice) == meant) return;
  throw Violation{
      text("rank %d reads chunk %d of slice %zu where rank %d has exposed it, but there it "
           "has been written over",
           reader, meant.chunk, meant.slice, rank_)};
}

void ProofMemory::write_over() {
  input_.assign(input_.size(), std::nullopt);
  output_.assign(output_.size(), std::nullopt);
}

void ProofMemory::check_outputs() const {
  for (std::size_t slice = 0; slice < slices_; ++slice)
    for (int chunk = 0; chunk < size_; ++chunk) {
      const Slot wanted = promised(specification_, rank_, chunk, slice, root_, size_, group_ranks_);
      if (!wanted) continue;
      const Value& value = read({Place::output, chunk}, slice, "should hold");
      if (value.fold != wanted->fold)
        throw Violation{text("rank %d ends with chunk %d folded as %s; %s was promised", rank_,
                             chunk, words(value.fold).c_str(), words(wanted->fold).c_str())};
      if (value.finished != wanted->finished)
        throw Violation{
            text("rank %d ends with chunk %d %s", rank_, chunk,
                 wanted->finished ? "not finished" : "finished, though nothing was reduced")};
    }
}

}  // namespace ringside
