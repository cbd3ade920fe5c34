// What is taken is charged to all who are concerned or to none, given back, and refused by name.
#include "daemon/account/account.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/account/memory_ceiling.h"
#include "daemon/config/options.h"

namespace wasmd::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Options Small() {
  Options options;
  options.max_session_memory_bytes = 10 * kMiB;
  options.max_user_memory_bytes = 15 * kMiB;
  options.max_total_memory_bytes = 20 * kMiB;
  options.max_runs_per_session = 2;
  options.max_user_runs = 3;
  options.max_total_open_files = 100;
  options.max_sessions = 2;
  return options;
}

std::string Refused(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  return std::string(status.message());
}

TEST(AccountTest, TheLowestLimitRefusesAndNobodyIsCharged) {
  Accounts accounts(Small(), {});
  const auto first = accounts.NewSession("uid:1", 1);
  const auto second = accounts.NewSession("uid:1", 2);
  const auto other = accounts.NewSession("uid:2", 3);
  EXPECT_TRUE(first->Take(Resource::kMemory, 10 * kMiB).ok());
  EXPECT_THAT(Refused(first->Take(Resource::kMemory, 1)),
              HasSubstr("a session has no more than 10 MiB of memory at one time "
                        "(--max-session-memory)"));
  EXPECT_THAT(Refused(second->Take(Resource::kMemory, 6 * kMiB)),
              HasSubstr("a user has no more than 15 MiB of memory at one time "
                        "(--max-user-memory)"));
  EXPECT_EQ(second->used(Resource::kMemory), 0u);
  EXPECT_EQ(second->parent()->used(Resource::kMemory), 10 * kMiB);
  EXPECT_TRUE(other->Take(Resource::kMemory, 9 * kMiB).ok());
  const auto third = accounts.NewSession("uid:3", 4);
  EXPECT_THAT(Refused(third->Take(Resource::kMemory, kMiB + 1)), HasSubstr("the daemon has"));
  EXPECT_THAT(Refused(other->Take(Resource::kMemory, UINT64_MAX)), HasSubstr("--max-"));
  EXPECT_EQ(other->used(Resource::kMemory), 9 * kMiB);
  EXPECT_EQ(accounts.daemon()->used(Resource::kMemory), 19 * kMiB);
  first->Give(Resource::kMemory, 10 * kMiB);
  EXPECT_TRUE(second->Take(Resource::kMemory, 6 * kMiB).ok());
  EXPECT_EQ(accounts.daemon()->used(Resource::kMemory), 15 * kMiB);
  EXPECT_EQ(accounts.daemon()->of(Resource::kMemory)->peak(), 19 * kMiB);
}

TEST(AccountTest, CountsAreInWords) {
  Accounts accounts(Small(), {});
  const auto first = accounts.NewSession("uid:1", 1);
  const auto second = accounts.NewSession("uid:1", 2);
  EXPECT_TRUE(first->Take(Resource::kRuns, 2).ok());
  EXPECT_EQ(Refused(first->Take(Resource::kRuns)),
            "a session has no more than 2 programs at one time (--max-session-runs)");
  EXPECT_TRUE(second->Take(Resource::kRuns).ok());
  EXPECT_EQ(Refused(second->Take(Resource::kRuns)),
            "a user has no more than 3 programs at one time (--max-user-runs)");
}

// Modules, uploads and channels are memory of the daemon's too.
TEST(AccountTest, AllMemoryIsTheDaemons) {
  Accounts accounts(Small(), {});
  const auto user = accounts.User("uid:1");
  EXPECT_TRUE(user->Take(Resource::kModuleMemory, 8 * kMiB).ok());
  EXPECT_TRUE(user->Take(Resource::kUploadMemory, 8 * kMiB).ok());
  EXPECT_EQ(accounts.daemon()->used(Resource::kMemory), 16 * kMiB);
  EXPECT_EQ(user->used(Resource::kMemory), 0u);
  EXPECT_EQ(Refused(user->Take(Resource::kChannelMemory, 5 * kMiB)),
            "the daemon has no more than 20 MiB of memory at one time (--max-total-memory)");
  EXPECT_EQ(accounts.daemon()->used(Resource::kChannelMemory), 0u);
}

TEST(AccountTest, ChargesGiveBackOnce) {
  Accounts accounts(Small(), {});
  const auto session = accounts.NewSession("uid:1", 1);
  absl::StatusOr<Charge> taken = session->TakeCharge(Resource::kRuns, 2);
  ASSERT_TRUE(taken.ok()) << taken.status();
  {
    const Charge moved = *std::move(taken);
    EXPECT_EQ(moved.amount(), 2u);
    EXPECT_EQ(session->used(Resource::kRuns), 2u);
    EXPECT_FALSE(session->TakeCharge(Resource::kRuns).ok());
  }
  EXPECT_EQ(session->used(Resource::kRuns), 0u);
  EXPECT_TRUE(session->TakeCharge(Resource::kRuns).ok());
  EXPECT_EQ(session->used(Resource::kRuns), 0u);
}

TEST(AccountTest, AUserIsOneAccountAndGoesWithItsLastHolder) {
  Accounts accounts(Small(), {});
  auto first = accounts.NewSession("uid:1", 1);
  const auto second = accounts.NewSession("uid:1", 2);
  const auto other = accounts.NewSession("uid:2", 3);
  EXPECT_EQ(first->parent(), second->parent());
  EXPECT_NE(first->parent(), other->parent());
  EXPECT_THAT(accounts.SessionsOf("uid:1"), ElementsAre(first, second));
  // What outlives a session keeps its account: a machine code's, say.
  const std::shared_ptr<ResourceAccount> memory = first->of(Resource::kMemory);
  EXPECT_EQ(memory->Charge(kMiB), std::nullopt);
  first = nullptr;
  EXPECT_THAT(accounts.SessionsOf("uid:1"), ElementsAre(second));
  memory->Release(kMiB);
  EXPECT_EQ(accounts.daemon()->used(Resource::kMemory), 0u);
  for (int i = 0; i < 1000; ++i) {
    accounts.User("uid:" + std::to_string(100 + i));
  }
}

TEST(AccountTest, NothingIsLostBetweenThreads) {
  Accounts accounts(Small(), {});
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, session = accounts.NewSession("uid:1", i)] {
      for (int round = 0; round < 20'000; ++round) {
        if (session->Take(Resource::kMemory, 6 * kMiB).ok()) {
          EXPECT_LE(accounts.daemon()->used(Resource::kMemory), 4 * 6 * kMiB);
          session->Give(Resource::kMemory, 6 * kMiB);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(accounts.daemon()->used(Resource::kMemory), 0u);
  EXPECT_LE(accounts.daemon()->of(Resource::kMemory)->peak(), 15 * kMiB);
}

TEST(AccountTest, TheCeilingIsTheDaemonsLimitUnlessAnOptionSaysOther) {
  Options options;
  const MemoryCeiling ceiling{.system_bytes = 512 * kMiB, .source = "test", .guest_bytes = 99};
  EXPECT_EQ(Accounts(options, ceiling).daemon()->of(Resource::kMemory)->limit().amount, 99u);
  options.max_total_memory_bytes = kMiB;
  EXPECT_EQ(Accounts(options, ceiling).daemon()->of(Resource::kMemory)->limit().amount, kMiB);
}

}  // namespace
}  // namespace wasmd::daemon
