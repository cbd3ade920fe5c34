// A failed check says where and what, and aborts; one that holds evaluates its condition once.
#include "engine/base/check.h"

#include <gtest/gtest.h>

namespace {

TEST(CheckTest, HoldsAndEvaluatesOnce) {
  int count = 0;
  WASMD_CHECK(++count == 1);
  WASMD_CHECK(++count == 2, "with a message");
  EXPECT_EQ(count, 2);
}

TEST(CheckDeathTest, FailureNamesPlaceConditionAndMessage) {
  EXPECT_DEATH(WASMD_CHECK(1 + 1 == 3),
               "^tests/unit/engine/base/check_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3\n");
  EXPECT_DEATH(WASMD_CHECK(false, "the reason"), "check failed: false: the reason\n");
  EXPECT_DEATH(WASMD_UNREACHABLE(), "check failed: unreachable\n");
}

TEST(CheckDeathTest, DcheckIsOnOnlyWithoutNdebug) {
#ifdef NDEBUG
  bool evaluated = false;
  WASMD_DCHECK((evaluated = true));
  EXPECT_FALSE(evaluated);
#else
  EXPECT_DEATH(WASMD_DCHECK(false, "dense"), "check failed: false: dense\n");
#endif
}

}  // namespace
