// Printing what tools/kernel_bench has measured.
#include "tools/kernel_suite/table.h"

#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/measure/host_info.h"
#include "tools/support/command_line.h"

namespace ringside::tools {
namespace {

// "gemm nt 1024", "reduce"
std::string row_words(const KernelSide& side, const KernelCall& call) {
  if (call.kernel == Kernel::library_copy) return side.library_copy();
  if (!is_product(call.kernel)) return name_of(call.kernel);
  const std::string library = side.library_gemm().substr(0, side.library_gemm().find(' '));
  return text("%s %s %zu", call.kernel == Kernel::gemm ? "gemm" : library.c_str(),
              name_of(call.product.form), call.product.m);
}

std::string number(double value) {
  return value >= 1000 ? text("%.0f", value)
         : value >= 10 ? text("%.1f", value)
                       : text("%.2f", value);
}

}  // namespace

bool is_product(Kernel kernel) { return kernel == Kernel::gemm || kernel == Kernel::library_gemm; }

double bytes_moved(const KernelCall& call) {
  const double count = static_cast<double>(call.count);
  const double each = static_cast<double>(bytes_of(call.dtype));
  switch (call.kernel) {
    case Kernel::reduce:
    case Kernel::gelu_gradient:
    case Kernel::bias_gelu:
      return 3 * count * each;
    case Kernel::bias_gradient:
      return count * each;
    case Kernel::adamw:
      return count * (24 + (call.dtype == DType::f32 ? 1 : 2) * each);
    default:
      return 2 * count * each;
  }
}

std::string kernel_head(const KernelSide& side, const KernelOptions& options) {
  const std::string library = side.library_gemm();
  return "# " + side.words() + "\n" +
         text("# %s caches, medians of %d samples; the bound of the element-wise ones is %s\n",
              options.warm ? "warm" : "cold", options.samples, side.library_copy()) +
         (library.empty() ? "" : "# baseline of the matrix product: " + library + "\n") +
         text("%-20s %-5s %8s %12s %10s %10s %10s  %-8s %8s\n", "# kernel", "type", "size",
              "elements", "time us", "25 %", "75 %", "rate", "of bound");
}

std::string kernel_row(const KernelSide& side, const KernelRow& row) {
  const bool product = is_product(row.call.kernel);
  const std::size_t elements = product ? row.call.product.m * row.call.product.n : row.call.count;
  return text("%-20s %-5s %8s %12zu %10s %10s %10s  %8s %s", row_words(side, row.call).c_str(),
              name_of(row.call.dtype), short_bytes(row.size_bytes).c_str(), elements,
              number(row.time_us.median).c_str(), number(row.time_us.low).c_str(),
              number(row.time_us.high).c_str(), number(row.rate).c_str(),
              product ? "GFLOP/s" : "GB/s   ") +
         (row.of_lower_bound > 0 ? text(" %4.0f %%\n", row.of_lower_bound * 100) : "\n");
}

std::string kernel_json(const KernelSide& side, const KernelOptions& options,
                        const std::vector<KernelRow>& rows) {
  const Machine machine = this_machine();
  JsonWriter json(2);
  json.object()
      .field("tool", "kernel_bench", "side", side.name(), "device", side.words(), "cpu",
             machine.cpu, "date", machine.date, "library_gemm", side.library_gemm(), "cold",
             !options.warm, "samples", options.samples, "blocks", options.blocks)
      .array("rows");
  for (const KernelRow& row : rows) {
    const bool product = is_product(row.call.kernel);
    json.object().field("kernel", name_of(row.call.kernel), "type", name_of(row.call.dtype),
                        "size_bytes", row.size_bytes);
    if (product)
      json.field("form", name_of(row.call.product.form), "n", row.call.product.n);
    else
      json.field("count", row.call.count).number("bytes_moved", bytes_moved(row.call), 0);
    json.field("time_us", row.time_us.median, "time_us_25", row.time_us.low, "time_us_75",
               row.time_us.high, product ? "gflops" : "gbs", row.rate);
    if (row.of_lower_bound > 0)
      json.field("of_lower_bound", row.of_lower_bound);
    else
      json.field("of_lower_bound", nullptr);
    json.end();
  }
  return json.end().end().text();
}

}  // namespace ringside::tools
