#include "base/raised_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <optional>

namespace softxe {
namespace {

rlimit files() {
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  return now;
}

/// Sets the soft limit for a test, below the hard one.
struct SoftLimit {
  explicit SoftLimit(rlim_t soft) : before(files()) {
    const rlimit low{soft, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
  }
  ~SoftLimit() { setrlimit(RLIMIT_NOFILE, &before); }
  const rlimit before;
};

TEST(RaisedLimit, IsTheClientsAgainWhenTheLastUserIsGone) {
  const SoftLimit low(200);
  std::optional<RaisedLimit> one(LimitKind::kDescriptors);
  {
    const RaisedLimit other(LimitKind::kDescriptors);
    EXPECT_EQ(files().rlim_cur, low.before.rlim_max);
    EXPECT_EQ(client_limit(LimitKind::kDescriptors), 200u);
    one.reset();
    EXPECT_EQ(files().rlim_cur, low.before.rlim_max);
  }
  EXPECT_EQ(files().rlim_cur, 200u);
  EXPECT_EQ(client_limit(LimitKind::kDescriptors), 200u);
}

TEST(RaisedLimit, LeavesALimitThatTheClientSetsMeanwhile) {
  const SoftLimit low(200);
  {
    const RaisedLimit raised(LimitKind::kDescriptors);
    const rlimit clients{150, low.before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &clients);
  }
  EXPECT_EQ(files().rlim_cur, 150u);
}

}  // namespace
}  // namespace softxe
