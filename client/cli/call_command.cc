#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

#include "client/cli/commands.h"
#include "client/cli/connection.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/report.h"
#include "client/cpp/client.h"
#include "client/cpp/posix.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// Names to choose from, in an error; not all of a large module's.
constexpr size_t kShownExports = 12;

absl::Status NoSuchFunction(const client::ModuleDetails& module, const std::string& func) {
  std::string names;
  size_t shown = 0;
  size_t total = 0;
  for (const client::Export& exported : module.exports) {
    if (exported.name == func) {
      return absl::NotFoundError(
          Cat("the export ", func, " is no function but a ", client::ToString(exported.type)));
    }
    if (!std::holds_alternative<client::FuncType>(exported.type)) {
      continue;
    }
    if (++total <= kShownExports) {
      names += Cat(shown++ == 0 ? "" : ", ", exported.name);
    }
  }
  if (total > shown) {
    names += Cat(" and ", total - shown, " more");
  }
  return absl::NotFoundError(
      Cat("no exported function ", func, "; there ", total == 0 ? "is none" : "are ", names));
}

absl::StatusOr<std::vector<client::Value>> ParseArguments(const client::FuncType& type,
                                                          const CallArguments& call) {
  const std::string signature = Cat(call.func, " is ", client::ToString(type));
  if (call.args.size() != type.params.size()) {
    return absl::InvalidArgumentError(
        Cat(signature, ": it takes ", type.params.size(), " arguments, not ", call.args.size()));
  }
  std::vector<client::Value> values;
  for (size_t i = 0; i < call.args.size(); ++i) {
    absl::StatusOr<client::Value> value = client::ParseValue(type.params[i], call.args[i]);
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          Cat(signature, ": argument ", i + 1, ": ", value.status().message()));
    }
    values.push_back(*std::move(value));
  }
  return values;
}

// What the guest's end makes of ours, where it did not return.
int ReportStop(const client::Exit& exit) {
  return static_cast<int>(exit.code & 0xff);
}
int ReportStop(const client::Trap& trap, const std::string& refused_at, const Common& common) {
  if (common.format != OutputFormat::kJson) {
    ReportTrap(trap);
    ReportRefusal(refused_at);
  }
  return kTrap;
}

int ReportCall(const client::CallResult& result, const Common& common) {
  if (common.format == OutputFormat::kJson) {
    Json json = ToJson(result.outcome);
    json["duration_ns"] = absl::ToInt64Nanoseconds(result.duration);
    if (result.fuel_left.has_value()) {
      json["fuel_left"] = *result.fuel_left;
    }
    AddRefusal(result.refused_at, json);
    Print(Dump(json));
  }
  if (const auto* exit = std::get_if<client::Exit>(&result.outcome)) {
    return ReportStop(*exit);
  }
  if (const auto* trap = std::get_if<client::Trap>(&result.outcome)) {
    return ReportStop(*trap, result.refused_at, common);
  }
  if (common.format == OutputFormat::kTable) {
    for (const client::Value& value : std::get<client::Values>(result.outcome)) {
      Print(client::ToString(value) + "\n");
    }
  }
  return kDone;
}

int ReportBytes(const client::BytesResult& result, const Common& common) {
  if (common.format == OutputFormat::kJson) {
    Json json = ToJson(result);
    AddRefusal(result.refused_at, json);
    Print(Dump(json));
  }
  if (const auto* exit = std::get_if<client::Exit>(&result.outcome)) {
    return ReportStop(*exit);
  }
  if (const auto* trap = std::get_if<client::Trap>(&result.outcome)) {
    return ReportStop(*trap, result.refused_at, common);
  }
  if (common.format == OutputFormat::kTable) {
    Print(std::get<std::string>(result.outcome));
  }
  return kDone;
}

// Reads to the end, or to more than `limit`, which is for the caller to refuse. kCancelled: `stop`
// was triggered while nothing came.
absl::StatusOr<std::string> ReadUpTo(int fd, size_t limit, std::string_view name,
                                     const std::stop_token& stop) {
  const client::Fd wake = client::MakeEvent();
  const std::stop_callback wake_up(stop, [&wake] { client::SetEvent(wake); });
  std::string data;
  while (data.size() <= limit) {
    if (client::WaitFor(fd, POLLIN, wake.get(), absl::InfiniteFuture()) == client::Ready::kWoken) {
      return absl::CancelledError("interrupted");
    }
    constexpr size_t kPartBytes = size_t{64} << 10;
    const size_t before = data.size();
    data.resize(before + kPartBytes);
    const ssize_t count = read(fd, data.data() + before, kPartBytes);
    const int error = errno;
    data.resize(before + (count > 0 ? static_cast<size_t>(count) : 0));
    if (count == 0) {
      break;
    }
    if (count < 0 && error != EINTR && error != EAGAIN) {
      return client::ErrnoStatus(error, name);
    }
  }
  return data;
}

absl::StatusOr<std::string> ReadInput(const std::string& given, const std::stop_token& stop) {
  if (given == "-") {
    return ReadUpTo(STDIN_FILENO, client::kMaxCallBytes, "standard input", stop);
  }
  if (!given.starts_with('@')) {
    return given;
  }
  const std::string path = given.substr(1);
  const absl::StatusOr<client::Fd> file = client::OpenFile(path);
  return file.ok() ? ReadUpTo(file->get(), client::kMaxCallBytes, path, stop) : file.status();
}

// Calls with values; their types are the function's.
int CallWithValues(Connection& connection, const std::string& digest, const Common& common,
                   const CallArguments& arguments) {
  client::Control control;
  control.stop = common.stop;
  const absl::StatusOr<client::ModuleDetails> details = connection->GetModule(digest, control);
  if (!details.ok()) {
    return ReportStatus(details.status(), arguments.module);
  }
  const client::FuncType* type = details->FindFunc(arguments.func);
  if (type == nullptr) {
    return ReportStatus(NoSuchFunction(*details, arguments.func), arguments.module);
  }
  const absl::StatusOr<std::vector<client::Value>> values = ParseArguments(*type, arguments);
  if (!values.ok()) {
    return ReportStatus(values.status(), arguments.module);
  }
  control.timeout = common.timeout;
  control.fuel = arguments.fuel;
  control.limits = arguments.limits;
  const absl::StatusOr<client::CallResult> result =
      connection->Call(digest, arguments.func, *values, control);
  if (!result.ok()) {
    return ReportStatus(result.status(), Cat(arguments.module, ": ", arguments.func));
  }
  return ReportCall(*result, common);
}

int CallWithBytes(Connection& connection, const std::string& digest, const Common& common,
                  const CallArguments& arguments) {
  const absl::StatusOr<std::string> input = ReadInput(*arguments.bytes, common.stop);
  if (!input.ok()) {
    return ReportStatus(input.status());
  }
  client::Control control;
  control.stop = common.stop;
  control.timeout = common.timeout;
  control.fuel = arguments.fuel;
  control.limits = arguments.limits;
  const absl::StatusOr<client::BytesResult> result =
      connection->CallBytes(digest, arguments.func, *input, control);
  if (!result.ok()) {
    return ReportStatus(result.status(), Cat(arguments.module, ": ", arguments.func));
  }
  return ReportBytes(*result, common);
}

}  // namespace

int Call(const Common& common, const CallArguments& arguments) {
  absl::StatusOr<Connection> connection = Connect(common);
  if (!connection.ok()) {
    return ReportStatus(connection.status());
  }
  absl::StatusOr<client::ModuleInfo> module =
      ResolveModule(*connection->client, common, arguments.module);
  if (!module.ok()) {
    return ReportStatus(module.status());
  }
  return arguments.bytes.has_value()
             ? CallWithBytes(*connection, module->digest, common, arguments)
             : CallWithValues(*connection, module->digest, common, arguments);
}

}  // namespace wasmd::cli
