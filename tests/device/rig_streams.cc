// The tests of rig.h about streams of the caller's.
#include <chrono>
#include <thread>
#include <vector>

#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/device/rig.h"
#include "tests/errors/endings.h"

namespace ringside::test {

namespace {

constexpr std::size_t kMany = 3000;

// A stream that waits here goes on when open() is called, and not before.
class Gate {
 public:
  explicit Gate(Device& device)
      : device_(device),
        cell_(reinterpret_cast<DeviceCell*>(device.allocate(sizeof(DeviceCell)))),
        error_flags_(device.make_error_flags()) {}
  ~Gate() {
    device_.free_error_flags(error_flags_);
    device_.free(reinterpret_cast<unsigned char*>(cell_));
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  void stand_before(Device::Stream stream) {
    device_.await(stream, cell_, device_signal(1, 0), error_flags_);
  }
  void open() {
    DeviceCell cell{};
    cell.bits = device_signal(1, 0);
    device_.write(cell_, &cell, sizeof cell);
  }

 private:
  Device& device_;
  DeviceCell* cell_;
  DeviceErrorFlags* error_flags_;
};

// Some buffers of kMany floats in a rank's memory there.
class Floats {
 public:
  explicit Floats(Elsewhere& memory) : memory_(memory) {
    for (int i = 0; i < kBuffers; ++i) fill(i, -1);
  }
  std::byte* operator[](int i) const {
    return memory_.room(0, kBuffers * kBytes) + index(i) * kBytes;
  }
  void fill(int i, float value) {
    const std::vector<float> values(kMany, value);
    memory_.write((*this)[i], reinterpret_cast<const std::byte*>(values.data()), kBytes);
  }
  // What all of them are; −1 if they are not alike.
  float value(int i) {
    std::vector<float> values(kMany);
    memory_.read(reinterpret_cast<std::byte*>(values.data()), (*this)[i], kBytes);
    for (const float it : values)
      if (it != values[0]) return -1;
    return values[0];
  }
  static constexpr std::size_t kBytes = kMany * sizeof(float);

 private:
  static constexpr int kBuffers = 5;
  Elsewhere& memory_;
};

void check_streams_of_a_rank(Context& t, const Rig& rig, ExecutorChoice executor,
                             Bootstrap& bootstrap) {
  enum { source, values, sums, again, copied };
  const std::shared_ptr<Device> device = rig.device();
  Gate gate(*device);
  Floats floats(*rig.memory(bootstrap.rank()));
  floats.fill(source, static_cast<float>(bootstrap.rank() + 1));
  const Device::Stream stream = device->make_stream(), other = device->make_stream();
  const Device::Event end = device->make_event();
  {
    Communicator comm(bootstrap, rig.options(executor));
    gate.stand_before(stream);
    device->copy(stream, floats[values], floats[source], Floats::kBytes);
    if (executor == ExecutorChoice::host) gate.open();
    Work first =
        comm.all_reduce_on(stream, floats[values], floats[sums], kMany, DType::f32, Reduction::sum);
    // On another stream, and yet after the first.
    Work second =
        comm.all_reduce_on(other, floats[sums], floats[again], kMany, DType::f32, Reduction::max);
    device->copy(other, floats[copied], floats[again], Floats::kBytes);
    device->record(end, other);
    if (executor != ExecutorChoice::host) {
      CHECK_MSG(!first.test() && !second.test() && !device->is_done(end),
                "rank %d: something has not waited for the stream", comm.rank());
      gate.open();
    }
    second.wait();
    CHECK(first.test());
    while (!device->is_done(end)) nap_ms(1);
    for (const int i : {sums, again, copied})
      CHECK_MSG(floats.value(i) == 6, "rank %d, %s executor, buffer %d: %g", comm.rank(),
                name_of(executor), i, static_cast<double>(floats.value(i)));
    // Calls on the host's own thread, and asynchronous ones, come in the same order.
    comm.all_reduce_async(floats[sums], floats[sums], kMany, DType::f32, Reduction::sum);
    comm.all_reduce_on(stream, floats[sums], floats[sums], kMany, DType::f32, Reduction::sum)
        .wait();
    CHECK_MSG(floats.value(sums) == 54, "%g", static_cast<double>(floats.value(sums)));
    comm.barrier();
  }
  device->end_event(end);
  device->end_stream(stream);
  device->end_stream(other);
}

}  // namespace

void check_the_order_of_streams(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kExecutors)
    run_as_threads(
        3, [&](Bootstrap& bootstrap) { check_streams_of_a_rank(t, rig, executor, bootstrap); });
}

void check_a_failure_on_a_stream(Context& t, const Rig& rig) {
  for (const ExecutorChoice executor : kDeviceExecutors) {
    Options options = rig.options(executor);
    options.timeout_s = 0.5;
    const std::shared_ptr<Device> device = rig.device();
    const Device::Stream streams[] = {device->make_stream(), device->make_stream()};
    check_all_broken(t,
                     endings_of(2, options,
                                [&](Communicator& comm) {
                                  void* const values =
                                      rig.memory(comm.rank())->room(0, Floats::kBytes);
                                  if (comm.rank() == 1) nap_ms(1500);
                                  comm.all_reduce_on(streams[comm.rank()], values, values, kMany,
                                                     DType::f32, Reduction::max)
                                      .wait();
                                }),
                     Fault::timeout, "waiting for the device");
    for (const Device::Stream it : streams) device->end_stream(it);
  }
}

}  // namespace ringside::test
