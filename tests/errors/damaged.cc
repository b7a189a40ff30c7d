// Memory that others write may hold anything, after a mistake of some program. What is read there
// is not believed before it is looked at.
#include <cstring>
#include <memory>
#include <new>

#include "comm/control/status.h"
#include "comm/peers/window_layout.h"
#include "tests/collectives/collective_case.h"
#include "tests/errors/endings.h"
#include "tools/support/faulty_transport.h"

using namespace ringside;
using namespace ringside::test;

namespace {

// Remembers the window of its rank.
class Watched : public TransportAround {
 public:
  Watched(std::unique_ptr<Transport> inner, Window*& window)
      : TransportAround(std::move(inner), [](auto peer) { return peer; }), window_(window) {}
  std::unique_ptr<Window> expose(std::size_t data_bytes, int cells, Deadline deadline) override {
    std::unique_ptr<Window> it = TransportAround::expose(data_bytes, cells, deadline);
    window_ = it.get();
    return it;
  }

 private:
  Window*& window_;
};

// Two ranks, each with its window.
template <class Body>
void with_windows(const Options& chosen, const Body& body) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Window* window = nullptr;
    Options options = chosen;
    options.decorate = [&](std::unique_ptr<Transport> inner) {
      return std::make_unique<Watched>(std::move(inner), window);
    };
    Communicator comm(bootstrap, options);
    body(bootstrap, comm, *window);
  });
}

}  // namespace

RINGSIDE_TEST(damaged, status_page_tells_nothing) {
  const auto memory = std::make_unique<std::byte[]>(sizeof(StatusPage) + alignof(StatusPage));
  for (const int byte : {0x00, 0x7f, 0x80, 0xff}) {
    void* at = memory.get();
    std::size_t room = sizeof(StatusPage) + alignof(StatusPage);
    const auto* page =
        new (std::align(alignof(StatusPage), sizeof(StatusPage), at, room)) StatusPage;
    std::memset(at, byte, sizeof(StatusPage));
    CHECK(!page->latest());
    CHECK(page->history().empty());
    CHECK(!page->call(page->finished()) && !page->find(0x7f7f7f7f) && !page->find_collective(7));
    CHECK(page->count_messages(0, 1, page->finished()).value_or(0) == 0);
    CHECK(std::strlen(page->cause().what()) < 1001);
    CHECK(name_of(page->cause().fault()) != nullptr);
    page->wait();
  }
}

RINGSIDE_TEST(damaged, alarm_of_nobody_is_an_error) {
  for (const std::uint32_t word : {3u, 1000u, 0x7fffffffu, 0x80000000u, 0xffffffffu})
    with_windows(test_options(), [&](Bootstrap&, Communicator& comm, Window& window) {
      window.cell(WindowLayout::kAlarmCell).release({word, 1});
      check_fault(t, ending_of([&] { comm.barrier(); }), Fault::protocol, {"memory is damaged"});
    });
}

// Another rank's wait for somebody who does not exist, while this one looks for whom to blame.
RINGSIDE_TEST(damaged, wait_for_nobody_ends_the_chain) {
  with_windows(test_options(0.3), [&](Bootstrap& bootstrap, Communicator& comm, Window& window) {
    auto* page = reinterpret_cast<StatusPage*>(window.data());
    if (comm.rank() == 0)
      page->note_wait({.peer = 1'000'000, .since_ms = coarse_now_ms(), .words = "waiting"});
    bootstrap.barrier(Deadline::after_seconds(20));
    if (comm.rank() == 1)
      check_fault(t, ending_of([&] { comm.barrier(); }), Fault::timeout, {"; rank 0 (pid "});
    bootstrap.barrier(Deadline::after_seconds(20));
  });
}
