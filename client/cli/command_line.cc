#include "client/cli/command_line.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cli/version.h"
#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

// Stands before a word that begins with '-' and is a number, so that CLI11 does not take it for an
// option.
constexpr char kNotAnOption = '\x01';

// "-5", "-.5", "-inf", "-nan:0x1"
bool IsNegativeNumber(std::string_view word) {
  if (word.size() < 2 || word[0] != '-') {
    return false;
  }
  const std::string_view rest = word.substr(1);
  return std::isdigit(static_cast<unsigned char>(rest[0])) != 0 || rest[0] == '.' ||
         rest == "inf" || rest.starts_with("nan");
}

std::string Unmark(std::string word) {
  if (!word.empty() && word[0] == kNotAnOption) {
    word.erase(0, 1);
  }
  return word;
}

// A validator of CLI11 from a parser of ours, which also keeps the value.
template <typename T>
std::function<bool(const CLI::results_t&)> Into(T* to,
                                                absl::StatusOr<T> (*parse)(std::string_view)) {
  return [to, parse](const CLI::results_t& words) {
    absl::StatusOr<T> value = parse(Unmark(words.back()));
    if (!value.ok()) {
      throw CLI::ValidationError(std::string(value.status().message()));
    }
    *to = *std::move(value);
    return true;
  };
}

template <typename T>
std::function<bool(const CLI::results_t&)> IntoEach(std::vector<T>* to,
                                                    absl::StatusOr<T> (*parse)(std::string_view)) {
  return [to, parse](const CLI::results_t& words) {
    for (const std::string& word : words) {
      absl::StatusOr<T> value = parse(Unmark(word));
      if (!value.ok()) {
        throw CLI::ValidationError(std::string(value.status().message()));
      }
      to->push_back(*std::move(value));
    }
    return true;
  };
}

// The first word that is neither an option nor an option's value: "run", say; or nothing.
std::string_view CommandOf(const std::vector<std::string>& words) {
  static constexpr std::string_view kOptionsWithValues[] = {"-a", "--address", "-o", "--output",
                                                            "--timeout"};
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::ranges::find(kOptionsWithValues, words[i]) != std::end(kOptionsWithValues)) {
      ++i;
    } else if (!words[i].starts_with('-')) {
      return words[i];
    }
  }
  return {};
}

// The application, and where CLI11 puts what it reads.
class Parser {
 public:
  Parser() {
    app_.require_subcommand(0, 1);
    app_.set_help_flag("-h,--help", "Show help");
    app_.add_flag("-V,--version", version_flag_, "Show the version");
    app_.get_formatter()->column_width(34);
    AddCommonOptions(&app_);
    AddRun();
    AddCall();
    AddModule();
    AddServer();
    AddOther();
  }

  const CLI::App& app() const { return app_; }
  absl::StatusOr<CommandLine> Parse(std::vector<std::string> words);

 private:
  CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& description) {
    CLI::App* command = parent.add_subcommand(name, description);
    command->get_formatter()->column_width(34);
    AddCommonOptions(command);
    return command;
  }

  // They may stand before the command, or behind it.
  void AddCommonOptions(CLI::App* command) {
    command->add_option("-a,--address", common_.address,
                        "Where wasmd listens: unix:/path or host:port (default: $WASMD_ADDR, else "
                        "$XDG_RUNTIME_DIR/wasmd.sock)");
    command->add_flag("--json", is_json_, "As --output json");
    command->add_option("-o,--output", format_, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
    command->add_flag("--spawn", common_.spawn,
                      "Start a private wasmd, which ends with this command");
    command
        ->add_option("--timeout", Into(&common_.timeout, &ParseDuration),
                     "End after that time, as in 5s or 250ms")
        ->expected(1)
        ->type_name("TIME");
  }

  // Those of programs and calls alike. The daemon's own hold as well.
  static void AddLimits(CLI::App* command, client::InvocationLimits& limits) {
    command
        ->add_option("--max-memory", Into(&limits.memory_bytes, &ParseSize),
                     "Limit of its linear memory, as in 64M")
        ->expected(1)
        ->type_name("SIZE");
    command
        ->add_option("--max-table-elements", limits.table_elements, "Limit of its tables' elements")
        ->check(CLI::PositiveNumber)
        ->type_name("N");
    command
        ->add_option("--max-heap", Into(&limits.heap_bytes, &ParseSize),
                     "Limit of its exceptions' memory")
        ->expected(1)
        ->type_name("SIZE");
    command
        ->add_option("--wasm-stack", Into(&limits.stack_bytes, &ParseSize),
                     "Limit of its call stack")
        ->expected(1)
        ->type_name("SIZE");
    command
        ->add_option("--max-cpu-time", Into(&limits.cpu_time, &ParseDuration),
                     "Limit of its CPU time, as in 5s")
        ->expected(1)
        ->type_name("TIME");
  }

  void AddRun();
  void AddCall();
  void AddModule();
  void AddServer();
  void AddOther();

  absl::StatusOr<CommandLine> Result();
  absl::StatusOr<RunArguments> RunResult();

  CLI::App app_{"wasmctl runs WebAssembly in wasmd", "wasmctl"};
  Common common_;
  std::string format_ = "table";
  bool is_json_ = false;
  bool version_flag_ = false;

  CLI::App* run_ = nullptr;
  RunArguments run_arguments_;
  bool no_pass_descriptors_ = false;
  std::string argv0_;
  CLI::App* call_ = nullptr;
  CallArguments call_arguments_;
  std::string call_bytes_;
  CLI::App* module_ = nullptr;
  CLI::App* load_ = nullptr;
  ModuleLoadArguments load_arguments_;
  CLI::App* list_ = nullptr;
  ModuleListArguments list_arguments_;
  CLI::App* inspect_ = nullptr;
  ModuleInspectArguments inspect_arguments_;
  CLI::App* remove_ = nullptr;
  ModuleRemoveArguments remove_arguments_;
  CLI::App* health_ = nullptr;
  CLI::App* info_ = nullptr;
  CLI::App* features_ = nullptr;
  CLI::App* limits_ = nullptr;
  CLI::App* top_ = nullptr;
  TopArguments top_arguments_;
  uint32_t top_count_ = 0;
  CLI::App* completion_ = nullptr;
  std::string shell_;
  CLI::App* version_ = nullptr;
};

void Parser::AddRun() {
  run_ = AddCommand(app_, "run", "Run a WASI program: its standard streams and exit code are ours");
  run_->footer(
      "\nwasmctl run [OPTIONS] PROGRAM [--] [ARGUMENT...]\n"
      "PROGRAM is a file, or a digest that `wasmctl module ls` shows. What follows it is the "
      "program's.");
  run_->prefix_command();
  run_->add_option("--dir", IntoEach(&run_arguments_.dirs, &ParseDirSpec),
                   "Give the program a directory: HOST::GUEST, HOST::GUEST:ro")
      ->type_name("DIR")
      ->take_all()
      ->allow_extra_args(false);
  run_->add_option("--root", IntoEach(&run_arguments_.roots, &ParseDirSpec),
                   "Give it a directory that the daemon's configuration names: NAME::GUEST[:ro]")
      ->type_name("ROOT")
      ->take_all()
      ->allow_extra_args(false);
  run_->add_option("--scratch", IntoEach(&run_arguments_.scratches, &ParseScratchSpec),
                   "Give it an empty directory in memory, which goes with it: GUEST, GUEST=SIZE")
      ->type_name("SCRATCH")
      ->take_all()
      ->allow_extra_args(false);
  run_->add_option("--tcplisten", IntoEach(&run_arguments_.sockets, &ParseTcpListen),
                   "Listen there and give the program the socket, behind its directories")
      ->type_name("HOST:PORT")
      ->take_all()
      ->allow_extra_args(false);
  run_->add_option("--listen-fd", IntoEach(&run_arguments_.sockets, &ParseListenFd),
                   "Give it a socket that is open here as descriptor N, listening or connected")
      ->type_name("N")
      ->take_all()
      ->allow_extra_args(false);
  run_->add_option("-e,--env", IntoEach(&run_arguments_.env, &ParseEnv),
                   "Set a variable: NAME=VALUE, or NAME to hand it on")
      ->type_name("VAR")
      ->take_all()
      ->allow_extra_args(false);
  AddLimits(run_, run_arguments_.limits);
  run_->add_option("--max-open-files", run_arguments_.limits.open_files,
                   "Limit of the files that it has open")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  run_->add_option("--max-output-buffer",
                   Into(&run_arguments_.limits.output_buffer_bytes, &ParseSize),
                   "Limit of each stream's output that the daemon keeps for us")
      ->expected(1)
      ->type_name("SIZE");
  run_->add_option("--fuel", Into(&run_arguments_.fuel, &ParseFuel),
                   "Let it execute so many instructions, and no more")
      ->expected(1)
      ->type_name("COUNT");
  run_->add_option("--stdin", run_arguments_.stdin_path, "Read its standard input from this file")
      ->type_name("FILE");
  run_->add_option("--argv0", argv0_, "Its name for itself (default: the file's base name)");
  run_->add_flag("--no-pass-fds", no_pass_descriptors_,
                 "Send streams through the connection, instead of passing descriptors");
  run_->add_flag("--eager", run_arguments_.eager, "Compile all of it before it starts");
}

void Parser::AddCall() {
  call_ = AddCommand(app_, "call", "Call an exported function and print its results");
  call_->add_option("MODULE", call_arguments_.module, "A file, or a digest")->required();
  call_->add_option("FUNCTION", call_arguments_.func, "The export's name")->required();
  call_
      ->add_option("--fuel", Into(&call_arguments_.fuel, &ParseFuel),
                   "Let it execute so many instructions, and no more")
      ->expected(1)
      ->type_name("COUNT");
  call_->add_option("ARGUMENT", call_arguments_.args,
                    "Each as its type wants it: 30, -1, 0xff, 0.5, nan:0x1, inf, null");
  AddLimits(call_, call_arguments_.limits);
  call_
      ->add_option("--bytes", call_bytes_,
                   "Call a function on byte strings with this input (@FILE: a file's contents; -: "
                   "standard input), and write its output as it is")
      ->type_name("INPUT");
}

void Parser::AddModule() {
  module_ = app_.add_subcommand("module", "Look after the modules that the daemon has");
  module_->require_subcommand(1);
  AddCommonOptions(module_);
  load_ = AddCommand(*module_, "load", "Upload modules and print their digests");
  load_->add_option("FILE", load_arguments_.files, "Modules")->required();
  load_->add_flag("--eager", load_arguments_.eager, "Compile every function now");
  list_ = AddCommand(*module_, "ls", "List modules");
  list_->add_flag("-q,--quiet", list_arguments_.quiet, "Print digests only");
  inspect_ = AddCommand(*module_, "inspect", "Show a module's imports, exports and sections");
  inspect_->add_option("MODULE", inspect_arguments_.module, "A file, or a digest")->required();
  remove_ = AddCommand(*module_, "rm", "Remove modules");
  remove_->add_option("DIGEST", remove_arguments_.modules, "Digests, or 8 of their digits or more")
      ->required();
}

void Parser::AddServer() {
  health_ = AddCommand(app_, "health", "Ask whether the daemon serves");
  info_ = AddCommand(app_, "info", "Show the daemon's version, features and limits");
  features_ =
      AddCommand(app_, "features", "List WebAssembly's features and which of them run here");
  limits_ = AddCommand(app_, "limits", "List every limit in force and what is used of it");
  top_ = AddCommand(app_, "top", "Show what the daemon does, again and again");
  top_->add_option("-n,--count", top_count_,
                   "So many times (default: for ever on a terminal, else once)")
      ->check(CLI::PositiveNumber);
  top_->add_option("-d,--interval", Into(&top_arguments_.interval, &ParseDuration),
                   "Time between two")
      ->expected(1)
      ->type_name("TIME");
}

void Parser::AddOther() {
  completion_ = app_.add_subcommand("completion", "Print a completion script");
  completion_->add_option("SHELL", shell_, "bash, zsh or fish")->required();
  version_ = app_.add_subcommand("version", "Show the version");
}

absl::StatusOr<CommandLine> Parser::Parse(std::vector<std::string> words) {
  // Of a program's own arguments CLI11 makes nothing: the first word that is no option ends ours.
  // But it would take `--` for the end of `run` itself.
  const std::string command(CommandOf(words));
  for (std::string& word : words) {
    if ((command == "call" && IsNegativeNumber(word)) || (command == "run" && word == "--")) {
      word.insert(word.begin(), kNotAnOption);
    }
  }
  std::reverse(words.begin(), words.end());
  try {
    app_.parse(words);
  } catch (const CLI::CallForHelp&) {
    CommandLine line;
    line.command = PrintArguments{app_.help()};
    return line;
  } catch (const CLI::ParseError& error) {
    std::string text = error.what();
    text.erase(std::remove(text.begin(), text.end(), kNotAnOption), text.end());
    std::replace(text.begin(), text.end(), '\n', ' ');
    return absl::InvalidArgumentError(Cat(text, "; see --help"));
  }
  return Result();
}

absl::StatusOr<RunArguments> Parser::RunResult() {
  std::vector<std::string> rest;
  for (std::string& word : run_->remaining()) {
    rest.push_back(Unmark(std::move(word)));
  }
  if (!rest.empty() && rest.front() == "--") {
    rest.erase(rest.begin());
  } else if (!rest.empty() && rest.front().size() > 1 && rest.front()[0] == '-') {
    return absl::InvalidArgumentError(
        Cat("unknown option ", rest.front(), "; see `wasmctl run --help`"));
  }
  if (rest.empty()) {
    return absl::InvalidArgumentError(
        "no program to run; write `wasmctl run PROGRAM [ARGUMENT...]`");
  }
  run_arguments_.module = rest.front();
  rest.erase(rest.begin());
  if (!rest.empty() && rest.front() == "--") {
    rest.erase(rest.begin());
  }
  run_arguments_.args = std::move(rest);
  run_arguments_.pass_descriptors = !no_pass_descriptors_;
  if (run_->count("--argv0") > 0) {
    run_arguments_.argv0 = argv0_;
  }
  return run_arguments_;
}

absl::StatusOr<CommandLine> Parser::Result() {
  CommandLine line;
  line.common = common_;
  line.common.format = is_json_ || format_ == "json" ? OutputFormat::kJson : OutputFormat::kTable;
  if (version_flag_ || version_->parsed()) {
    line.command = PrintArguments{Cat("wasmctl ", kVersion, "\n")};
  } else if (run_->parsed()) {
    absl::StatusOr<RunArguments> arguments = RunResult();
    if (!arguments.ok()) {
      return arguments.status();
    }
    line.command = *std::move(arguments);
  } else if (call_->parsed()) {
    for (std::string& argument : call_arguments_.args) {
      argument = Unmark(std::move(argument));
    }
    if (call_->count("--bytes") > 0) {
      if (!call_arguments_.args.empty()) {
        return absl::InvalidArgumentError(Cat("with --bytes there are no arguments: '",
                                              call_arguments_.args.front(), "'; see --help"));
      }
      call_arguments_.bytes = Unmark(std::move(call_bytes_));
    }
    line.command = call_arguments_;
  } else if (load_->parsed()) {
    line.command = load_arguments_;
  } else if (list_->parsed()) {
    line.command = list_arguments_;
  } else if (inspect_->parsed()) {
    line.command = inspect_arguments_;
  } else if (remove_->parsed()) {
    line.command = remove_arguments_;
  } else if (health_->parsed()) {
    line.command = HealthArguments{};
  } else if (info_->parsed()) {
    line.command = InfoArguments{};
  } else if (features_->parsed()) {
    line.command = FeaturesArguments{};
  } else if (limits_->parsed()) {
    line.command = LimitsArguments{};
  } else if (top_->parsed()) {
    if (top_->count("--count") > 0) {
      top_arguments_.count = top_count_;
    }
    line.command = top_arguments_;
  } else if (completion_->parsed()) {
    absl::StatusOr<std::string> script = CompletionScript(Commands(), shell_);
    if (!script.ok()) {
      return script.status();
    }
    line.command = PrintArguments{*std::move(script)};
  } else {
    return absl::InvalidArgumentError("no command; see `wasmctl --help`");
  }
  return line;
}

Operand OperandOf(std::string_view command) {
  if (command == "run" || command == "call" || command == "load" || command == "inspect") {
    return Operand::kFile;
  }
  if (command == "rm") {
    return Operand::kDigest;
  }
  return command == "completion" ? Operand::kShell : Operand::kNone;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the commands are nested, two.
CommandSpec Describe(const CLI::App& app) {
  CommandSpec spec{.name = app.get_name(),
                   .description = app.get_description(),
                   .operand = OperandOf(app.get_name()),
                   .options = {},
                   .commands = {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      continue;
    }
    OptionSpec entry{.names = {},
                     .description = option->get_description(),
                     .takes_value = option->get_items_expected_max() > 0,
                     .choices = {}};
    for (const std::string& name : option->get_snames()) {
      entry.names.push_back("-" + name);
    }
    for (const std::string& name : option->get_lnames()) {
      entry.names.push_back("--" + name);
    }
    if (option->check_lname("output")) {
      entry.choices = {"table", "json"};
    }
    spec.options.push_back(std::move(entry));
  }
  for (const CLI::App* child : app.get_subcommands({})) {
    spec.commands.push_back(Describe(*child));
  }
  return spec;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(std::vector<std::string> words) {
  return Parser().Parse(std::move(words));
}

CommandSpec Commands() {
  return Describe(Parser().app());
}

}  // namespace wasmd::cli
