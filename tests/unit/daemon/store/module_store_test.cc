// Modules by content: one load for the same bytes, owners see their own, the least recently used
// go, limits are named.
#include "daemon/store/module_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/account/account.h"
#include "daemon/config/options.h"
#include "daemon/pool/alarm.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/watchdog.h"
#include "daemon/store/digest.h"
#include "daemon/store/sections.h"
#include "daemon/store/upload.h"
#include "tests/support/wat.h"

namespace wasmd::daemon {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

Options Small() {
  Options options;
  options.compile_threads = 2;
  options.max_module_bytes = 64 << 10;
  options.module_store_bytes = 256 << 10;
  options.max_upload_bytes = 100 << 10;
  return options;
}

std::vector<std::byte> Assemble(std::string_view text) {
  const auto wat = engine::Wat(text);
  const auto bytes = std::as_bytes(std::span(wat));
  return {bytes.begin(), bytes.end()};
}

// A module of about `bytes` bytes that differs by `seed`.
std::vector<std::byte> Filled(int seed, size_t bytes) {
  return Assemble(absl::StrCat("(module (memory 1) (data (i32.const 0) \"", seed, " ",
                               std::string(bytes, 'x'), "\"))"));
}

class ModuleStoreTest : public testing::Test {
 protected:
  void TearDown() override { store_.Shutdown(); }

  absl::StatusOr<ModuleStore::Loaded> Load(std::span<const std::byte> bytes,
                                           std::string principal = "uid:1",
                                           std::string expected = {}) {
    ModuleStore::LoadRequest request;
    request.account = accounts_.User(principal);
    request.name = "test.wasm";
    request.expected_digest = std::move(expected);
    request.upload = store_.NewUpload(request.account);
    const absl::Status appended = request.upload->Append(bytes);
    if (!appended.ok()) {
      return appended;
    }
    return Wait(std::move(request));
  }

  absl::StatusOr<ModuleStore::Loaded> Wait(ModuleStore::LoadRequest request) {
    absl::Notification done;
    absl::StatusOr<ModuleStore::Loaded> loaded = absl::UnknownError("");
    store_.Load(std::move(request), [&](absl::StatusOr<ModuleStore::Loaded> result) {
      loaded = std::move(result);
      done.Notify();
    });
    done.WaitForNotification();
    return loaded;
  }

  std::unique_ptr<engine::Engine> engine_ = *engine::Engine::Create({});
  Accounts accounts_{Small(), {}};
  ModuleStore store_{*engine_, Small(), nullptr};
};

TEST(DigestTest, IsSha256) {
  DigestBuilder digest;
  digest.Add(std::as_bytes(std::span("ab", 2)));
  digest.Add(std::as_bytes(std::span("c", 1)));
  const std::string text = digest.Finish();
  EXPECT_EQ(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(IsDigest(text));
  EXPECT_FALSE(IsDigest(text.substr(0, text.size() - 1)));
  EXPECT_FALSE(IsDigest(text.substr(7)));
}

TEST(SectionsTest, AreListedInOrder) {
  const std::vector<std::byte> bytes = Assemble(R"((module $m (func (export "f"))))");
  std::vector<std::string> names;
  for (const SectionInfo& section : ListSections(bytes)) {
    names.push_back(section.name);
  }
  EXPECT_THAT(names, testing::ElementsAre("type", "function", "export", "code", "name"));
  for (size_t size = 0; size < bytes.size(); ++size) {
    ListSections(std::span(bytes).first(size));
  }
}

TEST_F(ModuleStoreTest, TheSameBytesAreOneModule) {
  const std::vector<std::byte> bytes = Filled(1, 10);
  const auto first = Load(bytes);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->already_present);
  const auto second = Load(bytes);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_TRUE(second->already_present);
  EXPECT_EQ(first->record.module, second->record.module);
  EXPECT_EQ(store_.totals().modules, 1u);
  EXPECT_EQ(store_.totals().module_bytes, bytes.size());
}

TEST_F(ModuleStoreTest, ManyUploadsAtOnceAreOneLoad) {
  constexpr int kUploads = 16;
  const std::vector<std::byte> bytes = Filled(2, 1000);
  absl::BlockingCounter all(kUploads);
  std::atomic<int> fresh{0};
  std::atomic<int> failed{0};
  for (int i = 0; i < kUploads; ++i) {
    ModuleStore::LoadRequest request;
    request.account = accounts_.User(absl::StrCat("uid:", i));
    request.upload = store_.NewUpload(request.account);
    ASSERT_TRUE(request.upload->Append(bytes).ok());
    store_.Load(std::move(request), [&](const absl::StatusOr<ModuleStore::Loaded>& loaded) {
      failed.fetch_add(loaded.ok() ? 0 : 1);
      fresh.fetch_add(loaded.ok() && !loaded->already_present ? 1 : 0);
      all.DecrementCount();
    });
  }
  all.Wait();
  EXPECT_EQ(failed.load(), 0);
  EXPECT_EQ(fresh.load(), 1);
  for (int i = 0; i < kUploads; ++i) {
    EXPECT_EQ(store_.List(absl::StrCat("uid:", i)).size(), 1u);
  }
}

TEST_F(ModuleStoreTest, OwnersSeeTheirOwn) {
  const auto mine = Load(Filled(3, 10), "uid:1");
  ASSERT_TRUE(mine.ok()) << mine.status();
  const std::string digest = mine->record.module->digest;
  EXPECT_TRUE(store_.Find("uid:1", digest).ok());
  EXPECT_EQ(store_.Find("uid:2", digest).status().code(), StatusCode::kNotFound);
  EXPECT_TRUE(store_.List("uid:2").empty());
  EXPECT_EQ(store_.Remove("uid:2", digest).code(), StatusCode::kNotFound);
  ASSERT_TRUE(Load(Filled(3, 10), "uid:2").ok());
  EXPECT_TRUE(store_.Remove("uid:1", digest).ok());
  EXPECT_TRUE(store_.Find("uid:2", digest).ok()) << "somebody else's removal took it";
  EXPECT_TRUE(store_.Remove("uid:2", digest).ok());
  EXPECT_EQ(store_.totals().modules, 0u);
}

TEST_F(ModuleStoreTest, PrefixesNameOneModule) {
  const std::string digest = Load(Filled(4, 10))->record.module->digest;
  EXPECT_TRUE(store_.Find("uid:1", digest.substr(0, 7 + 8)).ok());
  EXPECT_TRUE(store_.Find("uid:1", digest.substr(7, 8)).ok()) << "without sha256:";
  EXPECT_EQ(store_.Find("uid:1", digest.substr(7, 7)).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Find("uid:1", "nonsense").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Find("uid:1", "").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Find("uid:1", digest + "00").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Find("uid:1", "00000000").status().code(), StatusCode::kNotFound);
}

TEST_F(ModuleStoreTest, LeastRecentlyUsedGoFirst) {
  constexpr size_t kBytes = 60 << 10;
  std::vector<std::string> digests;
  for (int i = 0; i < 4; ++i) {
    digests.push_back(Load(Filled(i, kBytes))->record.module->digest);
  }
  ASSERT_EQ(store_.totals().modules, 4u);
  const std::shared_ptr<const StoredModule> held = store_.Find("uid:1", digests[1])->module;
  for (const int used : {2, 0, 3}) {
    ASSERT_TRUE(store_.Find("uid:1", digests[static_cast<size_t>(used)]).ok());
  }
  ASSERT_TRUE(Load(Filled(5, kBytes)).ok());
  ASSERT_TRUE(Load(Filled(6, kBytes)).ok());
  EXPECT_TRUE(store_.Find("uid:1", digests[0]).ok());
  EXPECT_FALSE(store_.Find("uid:1", digests[1]).ok());
  EXPECT_FALSE(store_.Find("uid:1", digests[2]).ok());
  EXPECT_TRUE(store_.Find("uid:1", digests[3]).ok());
  EXPECT_LE(store_.totals().module_bytes, Small().module_store_bytes);
  EXPECT_EQ(held->module->exports().size(), 0u) << "in use, it lives on";
}

TEST_F(ModuleStoreTest, LimitsAreNamed) {
  const std::vector<std::byte> large(65 << 10);
  const absl::Status too_large = Load(large).status();
  EXPECT_EQ(too_large.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(too_large.message()), HasSubstr("--max-module-size"));

  const std::vector<std::byte> most(60 << 10);
  const std::unique_ptr<Upload> first = store_.NewUpload(accounts_.User("uid:1"));
  ASSERT_TRUE(first->Append(most).ok());
  {
    const std::unique_ptr<Upload> second = store_.NewUpload(accounts_.User("uid:1"));
    const absl::Status full = second->Append(most);
    EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(full.message()), HasSubstr("--max-upload-memory"));
    EXPECT_TRUE(second->Append(std::span(most).first(40 << 10)).ok());
  }
  const std::unique_ptr<Upload> third = store_.NewUpload(accounts_.User("uid:1"));
  EXPECT_TRUE(third->Append(std::span(most).first(40 << 10)).ok()) << "the second's share is lost";
}

// What a user may have is his own affair: his modules make room for his, and for nobody else's.
TEST(ModuleStoreLimitsTest, AUsersModulesMakeRoomForEachOther) {
  Options options = Small();
  options.max_user_module_bytes = 40 << 10;
  const std::unique_ptr<engine::Engine> engine = *engine::Engine::Create({});
  Accounts accounts(options, {});
  ModuleStore store(*engine, options, nullptr);
  const std::shared_ptr<Account> users[2] = {accounts.User("uid:1"), accounts.User("uid:2")};
  const auto load = [&](int user, int seed, size_t size) {
    ModuleStore::LoadRequest request;
    request.account = users[user];
    request.upload = store.NewUpload(users[user]);
    EXPECT_TRUE(request.upload->Append(Filled(seed, size)).ok());
    absl::Notification done;
    absl::StatusOr<ModuleStore::Loaded> loaded = absl::UnknownError("");
    store.Load(std::move(request), [&](absl::StatusOr<ModuleStore::Loaded> result) {
      loaded = std::move(result);
      done.Notify();
    });
    done.WaitForNotification();
    return loaded;
  };
  EXPECT_TRUE(load(1, 1, 20 << 10).ok());
  EXPECT_TRUE(load(0, 2, 20 << 10).ok());
  {
    absl::StatusOr<ModuleStore::Loaded> held = load(0, 3, 15 << 10);
    ASSERT_TRUE(held.ok()) << held.status();
    EXPECT_TRUE(load(0, 4, 20 << 10).ok()) << "the oldest of his goes";
    EXPECT_EQ(store.List("uid:1").size(), 2u);
    EXPECT_EQ(store.List("uid:2").size(), 1u);
    const absl::Status refused = load(0, 5, 30 << 10).status();
    EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-user-module-memory"));
    EXPECT_EQ(store.List("uid:1").size(), 1u) << "what somebody uses stays";
    EXPECT_EQ(store.List("uid:2").size(), 1u) << "another's is none of his";
  }
  EXPECT_TRUE(load(0, 6, 39 << 10).ok());
  EXPECT_EQ(store.List("uid:1").size(), 1u);
  EXPECT_EQ(users[0]->used(Resource::kUploadMemory), 0u);
  EXPECT_EQ(users[0]->used(Resource::kLoads), 0u);
  ASSERT_TRUE(store.Remove("uid:1", store.List("uid:1")[0].module->digest).ok());
  EXPECT_EQ(users[0]->used(Resource::kModuleMemory), 0u);
  store.Shutdown();
}

// Of a watchdog that minds loads alone.
class NothingElse : public Watchdog::Subject {
 public:
  uint64_t LookAround(const Watchdog::Look& /*look*/) override { return Alarm::kNever; }
  bool AnyAwake() override { return false; }
};

TEST(ModuleStoreLimitsTest, LoadsAreCountedAndTimed) {
  Options options = Small();
  options.max_user_loads = 1;
  options.max_load_time = absl::Nanoseconds(1);
  options.max_module_bytes = 4 << 20;
  options.max_upload_bytes = 16 << 20;
  const std::unique_ptr<engine::Engine> engine = *engine::Engine::Create({});
  Accounts accounts(options, {});
  NothingElse nothing_else;
  Watchdog watchdog(nothing_else, 1'000'000);
  ModuleStore store(*engine, options, &watchdog);
  const std::shared_ptr<Account> user = accounts.User("uid:1");
  // Long enough that the timer comes in between.
  std::string text = "(module";
  for (int i = 0; i < 20'000; ++i) {
    absl::StrAppend(&text, "(func (result i32) i32.const ", i, " i32.const 7 i32.mul)");
  }
  const std::vector<std::byte> bytes = Assemble(text + ")");
  const auto request = [&] {
    ModuleStore::LoadRequest made;
    made.account = user;
    made.eager = true;
    made.upload = store.NewUpload(user);
    EXPECT_TRUE(made.upload->Append(bytes).ok());
    return made;
  };
  absl::Notification done;
  absl::Status late;
  ModuleStore::LoadRequest first = request();
  ModuleStore::LoadRequest second = request();
  Charge place = *user->TakeCharge(Resource::kLoads);
  absl::Status refused;
  store.Load(std::move(second),
             [&](const absl::StatusOr<ModuleStore::Loaded>& loaded) { refused = loaded.status(); });
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-user-loads"));
  place.Drop();
  store.Load(std::move(first), [&](const absl::StatusOr<ModuleStore::Loaded>& loaded) {
    late = loaded.status();
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(late.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(late.message()), HasSubstr("--max-load-time"));
  EXPECT_EQ(user->used(Resource::kModuleMemory), 0u);
  EXPECT_EQ(user->used(Resource::kLoads), 0u);
  store.Shutdown();
  watchdog.Stop();
}

TEST_F(ModuleStoreTest, RefusesWhatIsNoModule) {
  const absl::Status status = Load(std::as_bytes(std::span("hello", 5))).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(Load({}).status().code(), StatusCode::kInvalidArgument);
  const std::vector<std::byte> bytes = Filled(7, 10);
  EXPECT_EQ(Load(bytes, "uid:1", absl::StrCat("sha256:", std::string(64, '0'))).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.totals().modules, 0u);
}

TEST_F(ModuleStoreTest, ReadsFiles) {
  const std::vector<std::byte> bytes = Filled(8, 100);
  ModuleStore::LoadRequest request;
  request.account = accounts_.User("uid:1");
  request.upload = store_.NewUpload(request.account);
  request.file.reset(::memfd_create("module", MFD_CLOEXEC));
  ASSERT_EQ(::write(request.file.get(), bytes.data(), bytes.size()),
            static_cast<ssize_t>(bytes.size()));
  const auto loaded = Wait(std::move(request));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->record.module->size_bytes, bytes.size());
}

TEST_F(ModuleStoreTest, RefusesDescriptorsThatAreNoFiles) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const engine::UniqueFd writer(ends[1]);
  ModuleStore::LoadRequest request;
  request.account = accounts_.User("uid:1");
  request.upload = store_.NewUpload(request.account);
  request.file.reset(ends[0]);
  EXPECT_EQ(Wait(std::move(request)).status().code(), StatusCode::kInvalidArgument);

  ModuleStore::LoadRequest large;
  large.account = accounts_.User("uid:1");
  large.upload = store_.NewUpload(large.account);
  large.file.reset(::memfd_create("large", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(large.file.get(), off_t{1} << 40), 0);
  EXPECT_EQ(Wait(std::move(large)).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(ModuleStoreTest, CancelledLoadsLeaveNothing) {
  ModuleStore::LoadRequest request;
  request.account = accounts_.User("uid:1");
  request.upload = store_.NewUpload(request.account);
  ASSERT_TRUE(request.upload->Append(Filled(9, 10)).ok());
  request.cancel = std::make_shared<std::atomic<bool>>(true);
  EXPECT_EQ(Wait(std::move(request)).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(store_.totals().modules, 0u);
  EXPECT_TRUE(Load(Filled(9, 10)).ok());
}

// Whoever waits for another's load of the same bytes tries again when that one is given up.
TEST_F(ModuleStoreTest, CancellingDoesNotHitOthers) {
  constexpr int kUploads = 8;
  for (int round = 0; round < 400; ++round) {
    const std::vector<std::byte> bytes = Filled(round, 1000);
    absl::BlockingCounter all(kUploads);
    std::atomic<int> failed{0};
    for (int i = 0; i < kUploads; ++i) {
      const bool is_cancelled = i % 2 == 0;
      ModuleStore::LoadRequest request;
      request.account = accounts_.User(absl::StrCat("uid:", i));
      request.upload = store_.NewUpload(request.account);
      ASSERT_TRUE(request.upload->Append(bytes).ok());
      request.cancel = std::make_shared<std::atomic<bool>>(is_cancelled);
      store_.Load(std::move(request),
                  [&, is_cancelled](const absl::StatusOr<ModuleStore::Loaded>& loaded) {
                    failed.fetch_add(loaded.ok() || is_cancelled ? 0 : 1);
                    all.DecrementCount();
                  });
    }
    all.Wait();
    ASSERT_EQ(failed.load(), 0) << round;
  }
}

}  // namespace
}  // namespace wasmd::daemon
