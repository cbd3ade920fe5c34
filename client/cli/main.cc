// wasmctl: the command line of wasmd.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

#include "client/cli/command_line.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/interrupts.h"
#include "client/cli/report.h"

namespace wasmd::cli {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

int Dispatch(const CommandLine& line) {
  const Common& common = line.common;
  return std::visit(
      Overloaded{
          [](const PrintArguments& arguments) {
            Print(arguments.text);
            return kDone;
          },
          [&](const RunArguments& arguments) { return Run(common, arguments); },
          [&](const CallArguments& arguments) { return Call(common, arguments); },
          [&](const ModuleLoadArguments& arguments) {
            return ModuleLoad(common, arguments.files, arguments.eager);
          },
          [&](const ModuleListArguments& arguments) { return ModuleList(common, arguments.quiet); },
          [&](const ModuleInspectArguments& arguments) {
            return ModuleInspect(common, arguments.module);
          },
          [&](const ModuleRemoveArguments& arguments) {
            return ModuleRemove(common, arguments.modules);
          },
          [&](const HealthArguments&) { return Health(common); },
          [&](const InfoArguments&) { return Info(common); },
          [&](const FeaturesArguments&) { return Features(common); },
          [&](const LimitsArguments&) { return Limits(common); },
          [&](const TopArguments& arguments) { return Top(common, arguments); },
      },
      line.command);
}

int Main(std::vector<std::string> words) {
  // A reader who leaves is told by EPIPE, at the place that knows what to do.
  std::signal(SIGPIPE, SIG_IGN);
  absl::StatusOr<CommandLine> line = ParseCommandLine(std::move(words));
  if (!line.ok()) {
    return ReportStatus(line.status());
  }
  const Interrupts interrupts;
  line->common.stop = interrupts.token();
  const int exit_code = Dispatch(*line);
  return Finish(exit_code == kInterrupted ? interrupts.ExitCode(exit_code) : exit_code);
}

}  // namespace
}  // namespace wasmd::cli

namespace {

// A closed standard stream is the null device from here on, or the next file would get its number.
// gRPC's first is opened by a static constructor, so this comes before those.
void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) < 0) {
      // The lowest number that is free.
      open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    }
  }
}
__attribute__((section(".preinit_array"),
               used)) void (*const open_standard_streams)() = &OpenStandardStreams;

}  // namespace

int main(int argc, char** argv) {
  // Sessions and descriptors are closed by now; what gRPC would do at exit takes time and helps
  // nobody.
  _exit(wasmd::cli::Main(std::vector<std::string>(argv + 1, argv + argc)));
}
