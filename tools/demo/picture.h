// The ring's steps as a picture in text, drawn from what the recorder wrote down.
#pragma once

#include <string>

namespace ringside::tools {

// A table: a line for each step, a column for each rank, a cell for each chunk. A cell shows how
// many ranks' contributions the rank's newest value of the chunk holds; brackets mark what has just
// been received.
std::string draw_all_reduce(int size);

}  // namespace ringside::tools
