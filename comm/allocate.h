// Memory that other ranks may read where it lies.
//
//     float* gradient = static_cast<float*>(ringside::allocate(bytes));
//     comm.all_reduce(gradient, gradient, count, DType::f32, Reduction::sum);
//     ringside::deallocate(gradient);
//
// Any memory will do for a collective. What malloc returned can be read by its own process alone,
// though, so its bytes are first copied into a slot, and read from there. Memory from here can be
// mapped by the others: they read it in place, and the copy is saved. From some tens of kilobytes
// on that is what a call's time is made of (docs/08-measuring.md has the figures).
//
// The results are the same, bit for bit. What differs is when a call returns: a rank that exposed
// its memory waits until its readers are done, so a send of such memory may wait for the recv.
//
// The first call with a new allocation maps it into the readers, which takes about as long as
// touching it once; later ones find it mapped. So allocate early, and keep what you have.
//
// A forked child has no copy of it but sees the same bytes, and each sees what the other writes. It
// remains the parent's: in the child deallocate() leaves it alone, and for calls of the child's own
// communicators it is memory like any other.
#pragma once

#include <cstddef>

namespace ringside {

// At least `bytes` bytes, zeroed, at the start of a page; on huge pages where the system gives
// them, and near the calling thread's cores. Never null, also for 0 bytes. Any thread. Throws
// Error{system} when there is too little memory.
void* allocate(std::size_t bytes);

// Gives back what allocate() returned; null does nothing. No call may be using it any more. The
// memory is free at once, even if a rank that read it has died or sleeps. Throws Error{usage} if it
// is not the start of an allocation (not in a child whose parent may have made it).
void deallocate(void* memory);

}  // namespace ringside
