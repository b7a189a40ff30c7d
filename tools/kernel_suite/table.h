// What tools/kernel_bench has measured, as a table for people and as JSON for machines.
#pragma once

#include <string>
#include <vector>

#include "tools/kernel_suite/backend.h"

namespace ringside::tools {

struct KernelRow {
  KernelCall call;
  std::size_t size_bytes = 0;  // of one array, or of one matrix
  Quartiles time_us;
  double rate = 0;            // GB/s, or GFLOP/s of a product
  double of_lower_bound = 0;  // rate / the library's rate; 0: there is none
};

bool is_product(Kernel kernel);

// What `call` must move, in bytes.
double bytes_moved(const KernelCall& call);

std::string kernel_head(const KernelSide& side, const KernelOptions& options);
std::string kernel_row(const KernelSide& side, const KernelRow& row);
std::string kernel_json(const KernelSide& side, const KernelOptions& options,
                        const std::vector<KernelRow>& rows);

}  // namespace ringside::tools
