// Windows of groups lie in their parent's memory file: what that costs, and what must not happen.
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "comm/transport/shm/shm.h"
#include "comm/transport/shm/window_file.h"
#include "tests/errors/endings.h"
#include "tests/support/test.h"
#include "tools/fuzz/resources.h"

using namespace ringside;
using namespace ringside::test;

namespace {

Deadline soon() { return Deadline::after_seconds(60); }

bool is_zeroed(const Window& window) {
  const std::vector<std::byte> zeros(window.bytes());
  bool zeroed = std::memcmp(window.data(), zeros.data(), zeros.size()) == 0;
  for (int i = 0; i < window.cells(); ++i) zeroed &= window.cell(i).acquire().sequence == 0;
  return zeroed;
}

void spoil(PeerWindow& peer, const Window& window) {
  const std::vector<std::byte> rubbish(window.bytes(), std::byte{0xa5});
  peer.put(0, rubbish.data(), rubbish.size());
  for (int i = 0; i < window.cells(); ++i) peer.signal(i, {7, 7});
}

}  // namespace

// Two processes, as far as the transport can see.
RINGSIDE_TEST(window_file, a_group_needs_no_descriptor_and_no_mapping) {
  const Secret secret = draw_secret();
  const ShmOptions apart{.serve = true, .share_in_process = false};
  ShmTransport left(secret, apart), right(secret, apart);
  const auto window = left.expose(1 << 20, 8);
  const auto peer = right.open(0, window->handle(), soon());
  const tools::Resources before = settled_resources();
  std::vector<std::unique_ptr<Transport>> groups;
  std::vector<std::unique_ptr<Window>> windows;
  std::vector<std::unique_ptr<PeerWindow>> peers;
  for (int i = 0; i < 10; ++i) {
    groups.push_back(left.for_group());
    windows.push_back(groups.back()->expose(1 << 20, 8));
    peers.push_back(right.for_group()->open(0, windows.back()->handle(), soon()));
    if (!kUnderTsan) spoil(*peers.back(), *windows.back());
  }
  check_nothing_kept(t, before);
  CHECK(is_zeroed(*window));
}

RINGSIDE_TEST(window_file, memory_goes_to_nobody_while_a_peer_has_it_open) {
  const Secret secret = draw_secret();
  ShmTransport left(secret, {.serve = false}), right(secret, {.serve = false});
  const auto first = left.expose(100, 1);
  const auto group = left.for_group();
  auto window = group->expose(8192, 4);
  const std::byte* where = window->data();
  auto late = right.open(0, window->handle(), soon());
  const WindowHandle stale = window->handle();
  spoil(*late, *window);
  window.reset();
  // Its owner is gone: nobody opens it any more, and who has it open may still write there.
  CHECK(contains(ending_of([&] { right.open(5, stale, soon()); }).sentence, "rank 5's"));
  window = group->expose(8192, 4);
  CHECK(window->data() != where);
  spoil(*late, *window);
  CHECK(is_zeroed(*window));
  // Once it is closed, the next one gets it, zeroed. Pieces in front of it stay where they are.
  late.reset();
  const auto next = group->expose(4096, 2);
  CHECK(next->data() < window->data());
  CHECK(is_zeroed(*next) && is_zeroed(*window));
}

// Groups that come and go stay in their parent's file; its memory goes back to the system.
RINGSIDE_TEST(window_file, what_comes_and_goes_takes_no_more_room) {
  ShmTransport transport(draw_secret(), {.serve = false});
  const auto first = transport.expose(1 << 16, 1);
  const tools::Resources before = tools::resources_held(true);
  const std::byte* farthest = first->data();
  for (int i = 0; i < 1000; ++i) {
    const auto a = transport.for_group()->expose((1 << 16) >> (i % 3), 1);
    const auto b = transport.for_group()->expose((1 << 16) >> (i % 2), 1);
    CHECK(is_zeroed(*a) && is_zeroed(*b));
    std::memset(a->data(), 1, a->bytes());
    std::memset(b->data(), 1, b->bytes());
    farthest = std::max({farthest, const_cast<const std::byte*>(a->data()),
                         const_cast<const std::byte*>(b->data())});
  }
  CHECK(farthest - first->data() < 4 * (1 << 16));
  check_nothing_kept(t, before);
}

// More than the room, or none at all (ulimit -f): then a file of its own, and nothing else changes.
RINGSIDE_TEST(window_file, without_room_a_group_gets_a_file_of_its_own) {
  rlimit limit{};
  CHECK_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  for (const bool limited : {false, true}) {
    const rlimit less{rlim_t{1} << 30, limit.rlim_max};
    if (limited) CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &less), 0);
    const Secret secret = draw_secret();
    ShmTransport left(secret, {.serve = false}), right(secret, {.serve = false});
    const auto first = left.expose(4096, 1);
    const auto group = left.for_group();
    const tools::Resources before = tools::resources_held(true);
    const auto window = group->expose(limited ? 4096 : 1 << 24, 2);
    CHECK_EQ(tools::resources_held(true).windows, before.windows + 1);
    const auto peer = right.open(0, window->handle(), soon());
    spoil(*peer, *window);
    CHECK(is_zeroed(*first) && !is_zeroed(*window));
    CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
}
