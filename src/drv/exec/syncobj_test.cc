// DRM_SYNCOBJ operations: one line per rule of spec/uapi.md 17.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <thread>

#include "base/prng.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/syncobj_table.h"

namespace softxe {
namespace {

constexpr SyncobjHandle kNone{99};

/// A table with: 1 empty, 2 plain pending, 3 plain signalled, 4 timeline with 10 signalled and 20
/// pending on top.
struct World {
  World() {
    for (int i = 0; i < 4; ++i) static_cast<void>(table.create(Syncobj::Initially::kEmpty));
    object(2)->replace(plain);
    object(3)->replace(Fence::signalled_stub());
    object(4)->add_point(10, ten);
    object(4)->add_point(20, twenty);
    ten->signal();
  }
  SyncobjPtr object(std::uint32_t id) { return table.find(SyncobjHandle{id}); }

  ManualClock clock;
  WaitContext context{clock, [this] {
                        clock.advance_ns(1'000'000);
                        if (on_step) on_step();
                        return true;
                      }};
  std::function<void()> on_step;
  FencePtr plain = Fence::pending();
  FencePtr ten = Fence::pending();
  FencePtr twenty = Fence::pending();
  SyncobjTable table;
};

int errno_of(const Status& s) { return s ? 0 : s.error().err; }
template <typename T>
int errno_of(const Result<T>& r) {
  return r ? 0 : r.error().err;
}

TEST(Syncobj, APointDoesNotKeepAbandonedWork) {
  for (const bool on_top : {false, true}) {
    FencePtr work = Fence::pending();
    const std::weak_ptr<Fence> watched = work;
    Syncobj object;
    if (on_top) object.add_point(1, Fence::pending());
    object.add_point(2, work);
    work.reset();
    EXPECT_TRUE(watched.expired()) << on_top;
  }
}

TEST(Syncobj, APointHasTheErrorOfItsOwnWork) {
  for (const int error : {0, EIO}) {
    const FencePtr first = Fence::pending();
    FencePtr second = Fence::pending();
    Syncobj object;
    object.add_point(1, first);
    object.add_point(2, second);
    second->signal(error);
    second.reset();  // gone before the point is done
    const FencePtr head = object.head();
    first->signal(ETIME);
    EXPECT_TRUE(head->signalled());
    EXPECT_EQ(head->error(), error);
  }
}

TEST(Syncobj, UnknownHandles) {
  World w;
  const SyncobjHandle none[] = {SyncobjHandle{1}, kNone};
  const SyncPoint point[] = {{kNone, 1}};
  EXPECT_EQ(errno_of(w.table.destroy(kNone)), EINVAL);
  EXPECT_EQ(errno_of(w.table.export_object(kNone)), EINVAL);
  EXPECT_EQ(errno_of(w.table.reset(none)), ENOENT);
  EXPECT_EQ(errno_of(w.table.signal(none)), ENOENT);
  EXPECT_EQ(w.object(1)->head(), nullptr) << "nothing is changed when one handle is unknown";
  EXPECT_EQ(errno_of(w.table.timeline_signal(point)), ENOENT);
  EXPECT_EQ(errno_of(w.table.query(none, Syncobj::Query::kLastSignalled)), ENOENT);
  EXPECT_EQ(errno_of(w.table.transfer({{kNone, 0}, {SyncobjHandle{1}, 0}, false}, w.context)), ENOENT);
  EXPECT_EQ(errno_of(w.table.transfer({{SyncobjHandle{2}, 0}, {kNone, 0}, false}, w.context)), ENOENT);
  EXPECT_EQ(errno_of(w.table.wait({.points = {{kNone, 0}}}, w.context)), ENOENT);
  EXPECT_EQ(errno_of(w.table.export_sync_file({kNone, 0})), ENOENT);
  EXPECT_EQ(errno_of(w.table.import_sync_file({kNone, 0}, **SyncFile::make(w.plain))), ENOENT);
  EXPECT_EQ(errno_of(w.table.register_eventfd({kNone, 0}, SyncobjTable::EventKind::kSignalled, *EventFd::make())),
            ENOENT);
}

TEST(Syncobj, EmptyLists) {
  World w;
  EXPECT_EQ(errno_of(w.table.reset({})), EINVAL);
  EXPECT_EQ(errno_of(w.table.signal({})), EINVAL);
  EXPECT_EQ(errno_of(w.table.timeline_signal({})), EINVAL);
  EXPECT_EQ(errno_of(w.table.query({}, Syncobj::Query::kLastSignalled)), EINVAL);
  const auto answer = w.table.wait({}, w.context);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->first_signalled, ~0u);
}

TEST(Syncobj, CreateDestroyImport) {
  World w;
  const auto signalled = *w.table.create(Syncobj::Initially::kSignalled);
  EXPECT_EQ(signalled, SyncobjHandle{5});
  EXPECT_TRUE(w.table.find(signalled)->head()->signalled());
  const SyncobjPtr kept = *w.table.export_object(SyncobjHandle{2});
  EXPECT_EQ(*w.table.import(kept), SyncobjHandle{6}) << "always a new handle";
  EXPECT_TRUE(w.table.destroy(SyncobjHandle{2}));
  EXPECT_EQ(w.table.find(SyncobjHandle{6}), kept) << "drops the handle only";
  EXPECT_EQ(*w.table.create(Syncobj::Initially::kEmpty), SyncobjHandle{2}) << "lowest free";
}

struct WaitCase {
  const char* rule;
  std::vector<SyncPoint> points;
  bool all, submit, available;
  int err;
  std::uint32_t first;
};

TEST(Syncobj, PollingWaits) {
  constexpr std::uint32_t kUnset = ~0u;
  const SyncobjHandle empty{1}, pending{2}, done{3}, line{4};
  const WaitCase cases[] = {
      {"signalled", {{done, 0}}, false, false, false, 0, 0},
      {"pending", {{pending, 0}}, false, false, false, ETIME, kUnset},
      {"empty", {{empty, 0}}, false, false, false, EINVAL, kUnset},
      {"empty, for submit", {{empty, 0}}, false, true, false, ETIME, kUnset},
      {"empty, available", {{empty, 5}}, false, false, true, ETIME, kUnset},
      {"empty beside ready is still an error", {{done, 0}, {empty, 0}}, false, false, false, EINVAL, kUnset},
      {"empty beside ready, for submit", {{empty, 0}, {done, 0}}, false, true, false, 0, 1},
      {"any takes the lowest ready", {{pending, 0}, {done, 0}, {done, 0}}, false, false, false, 0, 1},
      {"all needs every one", {{pending, 0}, {done, 0}}, true, false, false, ETIME, kUnset},
      {"all ready", {{done, 0}, {line, 10}}, true, false, false, 0, 0},
      {"point done", {{line, 10}}, false, false, false, 0, 0},
      {"point below a done one", {{line, 3}}, false, false, false, 0, 0},
      {"point pending", {{line, 20}}, false, false, false, ETIME, kUnset},
      {"point between belongs to the next node", {{line, 11}}, false, false, false, ETIME, kUnset},
      {"point 0 is the newest", {{line, 0}}, false, false, false, ETIME, kUnset},
      {"point above the newest", {{line, 21}}, false, false, false, EINVAL, kUnset},
      {"point above, for submit", {{line, 21}}, false, true, false, ETIME, kUnset},
      {"point on a plain fence is missing", {{done, 1}}, false, false, false, EINVAL, kUnset},
      {"available: exists", {{line, 20}}, false, false, true, 0, 0},
      {"available: plain pending", {{pending, 0}}, false, false, true, 0, 0},
  };
  for (const WaitCase& c : cases) {
    World w;
    const auto answer = w.table.wait({c.points, c.all, c.submit, c.available, Deadline::poll()}, w.context);
    EXPECT_EQ(errno_of(answer), c.err) << c.rule;
    EXPECT_EQ(answer ? answer->first_signalled : ~0u, c.first) << c.rule;
  }
}

TEST(Syncobj, WaitsThatComeTrue) {
  const SyncobjHandle empty{1}, pending{2}, line{4};
  struct Case {
    const char* rule;
    SyncobjWaitRequest request;
    std::function<void(World&)> event;
    int err;
  };
  const Deadline far{1'000'000'000};
  // clang-format off
  const Case cases[] = {
      {"signal", {{{pending, 0}}, false, false, false, far}, [](World& w) { w.plain->signal(); }, 0},
      {"error is not reported", {{{pending, 0}}, false, false, false, far}, [](World& w) { w.plain->signal(EIO); }, 0},
      {"submission", {{{empty, 0}}, false, true, false, far}, [](World& w) { w.object(1)->replace(Fence::signalled_stub()); }, 0},
      {"submission of a pending fence is not enough", {{{empty, 0}}, false, true, false, far}, [](World& w) { w.object(1)->replace(Fence::pending()); }, ETIME},
      {"availability of a pending fence is", {{{empty, 7}}, false, false, true, far}, [](World& w) { w.object(1)->add_point(7, Fence::pending()); }, 0},
      {"replacing does not restart", {{{pending, 0}}, false, false, false, far}, [](World& w) { w.object(2)->replace(Fence::signalled_stub()); }, ETIME},
      {"reset neither", {{{pending, 0}}, false, false, false, far}, [](World& w) { const SyncobjHandle h[] = {SyncobjHandle{2}}; EXPECT_TRUE(w.table.reset(h)); w.plain->signal(); }, 0},
      {"destroy neither", {{{pending, 0}}, false, false, false, far}, [](World& w) { static_cast<void>(w.table.destroy(SyncobjHandle{2})); w.plain->signal(); }, 0},
      {"timeline point", {{{line, 20}}, true, false, false, far}, [](World& w) { w.twenty->signal(); }, 0},
  };
  // clang-format on
  for (const Case& c : cases) {
    World w;
    w.on_step = [&] {
      c.event(w);
      w.on_step = nullptr;
    };
    EXPECT_EQ(errno_of(w.table.wait(c.request, w.context)), c.err) << c.rule;
  }
}

TEST(Syncobj, WaitInterrupted) {
  World w;
  std::atomic<bool> kill{true};
  WaitContext context{w.clock, {}, &kill};
  EXPECT_EQ(errno_of(w.table.wait({.points = {{SyncobjHandle{2}, 0}}}, context)), EINTR);
}

TEST(Syncobj, TimelineChain) {
  World w;
  const SyncobjPtr line = w.object(4);
  const auto done = [&](std::uint64_t point) {
    const FencePtr fence = line->find(point);
    return fence != nullptr && fence->signalled();
  };
  EXPECT_EQ(line->query(Syncobj::Query::kLastSignalled), 10u);
  EXPECT_EQ(line->query(Syncobj::Query::kLastSubmitted), 20u);
  line->add_point(30, Fence::signalled_stub());
  EXPECT_FALSE(done(30)) << "everything before must be done too";
  EXPECT_EQ(line->query(Syncobj::Query::kLastSignalled), 10u);
  w.twenty->signal();
  EXPECT_TRUE(done(30));
  EXPECT_EQ(line->query(Syncobj::Query::kLastSignalled), 30u);
  const FencePtr late = Fence::pending();
  line->add_point(25, late);  // out of order: accepted, counts as the newest
  EXPECT_FALSE(done(30));
  EXPECT_EQ(line->query(Syncobj::Query::kLastSubmitted), 30u);
  late->signal();
  EXPECT_TRUE(done(30));
  line->replace(Fence::signalled_stub());
  EXPECT_EQ(line->query(Syncobj::Query::kLastSignalled), 0u) << "a plain fence counts 0";
  EXPECT_EQ(w.object(1)->query(Syncobj::Query::kLastSubmitted), 0u);
}

TEST(Syncobj, SignalGoesOverATimeline) {
  World w;
  const SyncobjHandle line[] = {SyncobjHandle{4}};
  const SyncPoint points[] = {{SyncobjHandle{1}, 5}, {SyncobjHandle{2}, 0}};
  EXPECT_TRUE(w.table.signal(line));
  EXPECT_EQ(w.table.wait({.points = {{line[0], 1}}, .deadline = Deadline::poll()}, w.context).error().err, EINVAL);
  EXPECT_TRUE(w.table.timeline_signal(points));
  EXPECT_EQ(w.object(1)->query(Syncobj::Query::kLastSignalled), 5u);
  EXPECT_TRUE(w.object(2)->head()->signalled());
}

TEST(Syncobj, Transfer) {
  const SyncobjHandle empty{1}, pending{2}, line{4};
  World w;
  EXPECT_EQ(errno_of(w.table.transfer({{empty, 0}, {pending, 0}, false}, w.context)), EINVAL);
  EXPECT_EQ(errno_of(w.table.transfer({{line, 21}, {pending, 0}, false}, w.context)), EINVAL);
  EXPECT_TRUE(w.table.transfer({{line, 10}, {empty, 0}, false}, w.context));
  EXPECT_TRUE(w.object(1)->head()->signalled());
  EXPECT_TRUE(w.table.transfer({{pending, 0}, {line, 40}, false}, w.context));
  EXPECT_EQ(w.object(4)->query(Syncobj::Query::kLastSubmitted), 40u);
  const SyncobjHandle h[] = {empty};
  EXPECT_TRUE(w.table.reset(h));
  const std::uint64_t before = w.clock.now_ns();
  EXPECT_EQ(errno_of(w.table.transfer({{empty, 0}, {line, 50}, true}, w.context)), ETIME);
  EXPECT_NEAR(static_cast<double>(w.clock.now_ns() - before), 5e9, 2e6) << "gives up after 5 s";
  w.on_step = [&] { w.object(1)->replace(Fence::pending()); };
  EXPECT_TRUE(w.table.transfer({{empty, 0}, {line, 50}, true}, w.context));
}

TEST(Syncobj, SyncFiles) {
  World w;
  EXPECT_EQ(errno_of(w.table.export_sync_file({SyncobjHandle{1}, 0})), EINVAL);
  EXPECT_EQ(errno_of(w.table.export_sync_file({SyncobjHandle{4}, 21})), EINVAL);
  const auto file = *w.table.export_sync_file({SyncobjHandle{4}, 20});
  EXPECT_EQ(file->status(), 0);
  EXPECT_TRUE(w.table.import_sync_file({SyncobjHandle{1}, 0}, *file));
  EXPECT_TRUE(w.table.import_sync_file({SyncobjHandle{2}, 3}, *file));
  EXPECT_EQ(w.object(2)->query(Syncobj::Query::kLastSubmitted), 3u);
  w.twenty->signal(EIO);
  EXPECT_EQ(file->status(), -EIO) << "a sync_file shows the error";
  EXPECT_TRUE(w.object(1)->head()->signalled());
}

TEST(Syncobj, Eventfd) {
  using Kind = SyncobjTable::EventKind;
  struct Case {
    const char* rule;
    SyncPoint point;
    Kind kind;
    std::function<void(World&)> event;
    std::uint64_t count;
  };
  const auto add_twice = [](World& w) {
    w.object(1)->add_point(1, Fence::signalled_stub());
    w.object(1)->add_point(2, Fence::signalled_stub());
  };
  // clang-format off
  const Case cases[] = {
      {"ready at once", {SyncobjHandle{3}, 0}, Kind::kSignalled, {}, 1},
      {"pending", {SyncobjHandle{2}, 0}, Kind::kSignalled, {}, 0},
      {"signals", {SyncobjHandle{2}, 0}, Kind::kSignalled, [](World& w) { w.plain->signal(); }, 1},
      {"waits for submission by itself, once", {SyncobjHandle{1}, 1}, Kind::kSignalled, add_twice, 1},
      {"submitted but pending", {SyncobjHandle{1}, 1}, Kind::kSignalled, [](World& w) { w.object(1)->add_point(1, Fence::pending()); }, 0},
      {"available", {SyncobjHandle{1}, 1}, Kind::kAvailable, [](World& w) { w.object(1)->add_point(1, Fence::pending()); }, 1},
      {"armed across reset", {SyncobjHandle{1}, 0}, Kind::kSignalled, [](World& w) { w.object(1)->replace(nullptr); w.object(1)->replace(Fence::signalled_stub()); }, 1},
  };
  // clang-format on
  for (const Case& c : cases) {
    World w;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    EXPECT_TRUE(w.table.register_eventfd(c.point, c.kind, *EventFd::from_client(fd)));
    if (c.event) c.event(w);
    std::uint64_t count = 0;
    static_cast<void>(!read(fd, &count, sizeof count));
    EXPECT_EQ(count, c.count) << c.rule;
    close(fd);
  }
}

TEST(JobSyncs, Entries) {
  constexpr auto kIn = SyncDirection::kWait;
  constexpr auto kOut = SyncDirection::kSignal;
  const SyncobjHandle empty{1}, pending{2}, done{3}, line{4};
  struct Case {
    const char* rule;
    SyncEntry entry;
    int err;
    std::size_t waits;
  };
  const Case cases[] = {
      {"wait", SyncPlain{pending, kIn}, 0, 1},
      {"wait for a signalled one", SyncPlain{done, kIn}, 0, 0},
      {"wait for nothing", SyncPlain{empty, kIn}, EINVAL, 0},
      {"unknown in", SyncPlain{kNone, kIn}, ENOENT, 0},
      {"unknown out", SyncPlain{kNone, kOut}, ENOENT, 0},
      {"point", SyncTimeline{line, 20, kIn}, 0, 1},
      {"point passed", SyncTimeline{line, 9, kIn}, 0, 0},
      {"point not submitted", SyncTimeline{line, 21, kIn}, EINVAL, 0},
      {"out needs no fence", SyncPlain{empty, kOut}, 0, 0},
      {"out point", SyncTimeline{empty, 4, kOut}, 0, 0},
      {"user fence", SyncUserFence{8, 1}, 0, 0},
  };
  for (const Case& c : cases) {
    World w;
    JobSyncs syncs(w.table);
    EXPECT_EQ(errno_of(syncs.add(c.entry)), c.err) << c.rule;
    EXPECT_EQ(syncs.in_fences().size(), c.waits) << c.rule;
  }
  World w;
  JobSyncs syncs(w.table);
  EXPECT_TRUE(syncs.add(SyncPlain{done, kOut}));
  EXPECT_TRUE(syncs.add(SyncTimeline{empty, 6, kOut}));
  EXPECT_FALSE(syncs.has_in_entries());
  const FencePtr fence = Fence::pending();
  syncs.install(fence);
  EXPECT_FALSE(w.object(3)->head()->signalled()) << "unsignalled from here on";
  EXPECT_EQ(w.object(1)->query(Syncobj::Query::kLastSubmitted), 6u);
}

/// Points from several threads: whatever the order, once all work is done the line is done.
TEST(Syncobj, ConcurrentPointsLoseNothing) {
  const auto line = std::make_shared<Syncobj>();
  std::vector<FencePtr> work;
  work.reserve(400);
  for (int i = 0; i < 400; ++i) work.push_back(Fence::pending());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < work.size(); i += 4) {
        line->add_point(i + 1, work[i]);
        work[i]->signal();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(line->head()->signalled());
  EXPECT_EQ(line->query(Syncobj::Query::kLastSignalled), line->query(Syncobj::Query::kLastSubmitted));
}

}  // namespace
}  // namespace softxe
