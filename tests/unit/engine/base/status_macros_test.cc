// The macros return the error unchanged and go on where there is none, also with values that can
// only be moved.
#include "engine/base/status_macros.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include <gtest/gtest.h>

namespace {

absl::Status Forward(const absl::Status& status, bool& reached) {
  WASMD_RETURN_IF_ERROR(status);
  reached = true;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ReturnIfErrorReturnsTheErrorAndGoesOnOtherwise) {
  bool reached = false;
  EXPECT_EQ(Forward(absl::NotFoundError("gone"), reached), absl::NotFoundError("gone"));
  EXPECT_FALSE(reached);
  EXPECT_TRUE(Forward(absl::OkStatus(), reached).ok());
  EXPECT_TRUE(reached);
}

absl::StatusOr<int> Sum(absl::StatusOr<std::unique_ptr<int>> a, absl::StatusOr<int> b) {
  WASMD_ASSIGN_OR_RETURN(const std::unique_ptr<int> left, std::move(a));
  int right = 0;
  WASMD_ASSIGN_OR_RETURN(right, b);
  return *left + right;
}

TEST(StatusMacrosTest, AssignOrReturnMovesTheValueOrReturnsTheError) {
  EXPECT_EQ(Sum(std::make_unique<int>(40), 2).value(), 42);
  EXPECT_EQ(Sum(absl::InternalError("left"), 2).status(), absl::InternalError("left"));
  EXPECT_EQ(Sum(std::make_unique<int>(40), absl::InternalError("right")).status(),
            absl::InternalError("right"));
}

}  // namespace
