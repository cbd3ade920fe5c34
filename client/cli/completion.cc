#include "client/cli/completion.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

#include "client/cpp/text.h"

namespace wasmd::cli {

namespace {

using client::Cat;

constexpr std::string_view kDigests = "$(wasmctl module ls -q 2>/dev/null | sed 's/^sha256://')";

// In single quotes for any of the three shells.
std::string Quote(std::string_view text) {
  return Cat("'", absl::StrReplaceAll(client::CatPart(text), {{"'", "'\\''"}}), "'");
}

// Calls `visit` for every command with its path from the root: "", "run", "module ls".
using Visit = std::function<void(const CommandSpec& command, const std::string& path)>;
// NOLINTNEXTLINE(misc-no-recursion): as deep as the commands are nested, two.
void Walk(const CommandSpec& command, const std::string& path, const Visit& visit) {
  visit(command, path);
  for (const CommandSpec& child : command.commands) {
    Walk(child, path.empty() ? child.name : Cat(path, " ", child.name), visit);
  }
}

std::vector<std::string> Names(const CommandSpec& command) {
  std::vector<std::string> names;
  for (const CommandSpec& child : command.commands) {
    names.push_back(child.name);
  }
  return names;
}

std::vector<std::string> OptionNames(const CommandSpec& command) {
  std::vector<std::string> names;
  for (const OptionSpec& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::string BashOperands(const CommandSpec& command) {
  switch (command.operand) {
    case Operand::kNone:
      return Cat("COMPREPLY=($(compgen -W \"", absl::StrJoin(Names(command), " "),
                 "\" -- \"$cur\"))");
    case Operand::kFile:
      return "COMPREPLY=($(compgen -f -- \"$cur\"))";
    case Operand::kDigest:
      return Cat("COMPREPLY=($(compgen -W \"", kDigests, "\" -- \"$cur\"))");
    case Operand::kShell:
      return "COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$cur\"))";
  }
  return "";
}

std::string Bash(const CommandSpec& root) {
  std::string paths;
  std::string values;
  std::string commands;
  Walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    if (!path.empty()) {
      paths += Cat(paths.empty() ? "" : " | ", Quote(path));
    }
    for (const OptionSpec& option : command.options) {
      if (!option.takes_value) {
        continue;
      }
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) {
        patterns.push_back(Quote(Cat(path, ":", name)));
      }
      const std::string reply = option.choices.empty()
                                    ? std::string("COMPREPLY=($(compgen -f -- \"$cur\"))")
                                    : Cat("COMPREPLY=($(compgen -W \"",
                                          absl::StrJoin(option.choices, " "), "\" -- \"$cur\"))");
      values += Cat("    ", absl::StrJoin(patterns, " | "), ") ", reply, "; return ;;\n");
    }
    commands +=
        Cat("    ", Quote(path),
            ")\n      if [[ $cur == -* ]]; then\n        COMPREPLY=($(compgen -W \"",
            absl::StrJoin(OptionNames(command), " "), "\" -- \"$cur\"))\n      else\n        ",
            BashOperands(command), "\n      fi ;;\n");
  });
  return Cat(
      "# bash completion for wasmctl: source <(wasmctl completion bash)\n",
      "_wasmctl() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path= candidate i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    candidate=\"$path${path:+ }${COMP_WORDS[i]}\"\n"
      "    case $candidate in\n      ",
      paths,
      ") path=$candidate ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$path:$prev\" in\n",
      values,
      "  esac\n"
      "  case $path in\n",
      commands,
      "  esac\n"
      "}\n"
      "complete -o filenames -o bashdefault -F _wasmctl wasmctl\n");
}

// Of _arguments' own syntax.
std::string ZshEscape(std::string_view text) {
  return absl::StrReplaceAll(client::CatPart(text),
                             {{"\\", "\\\\"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshOperands(const CommandSpec& command) {
  switch (command.operand) {
    case Operand::kNone:
      return "";
    case Operand::kFile:
      return " '*:file:_files'";
    case Operand::kDigest:
      return " '*:module:{compadd ${(f)\"$(wasmctl module ls -q 2>/dev/null | sed "
             "s/^sha256://)\"}}'";
    case Operand::kShell:
      return " '1:shell:(bash zsh fish)'";
  }
  return "";
}

std::string FunctionName(const std::string& path) {
  return Cat("_wasmctl", path.empty() ? "" : "_", absl::StrReplaceAll(path, {{" ", "_"}}));
}

std::string Zsh(const CommandSpec& root) {
  std::string text =
      "#compdef wasmctl\n# zsh completion for wasmctl: source <(wasmctl completion zsh)\n";
  Walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    text += Cat(FunctionName(path), "() {\n");
    std::string specs;
    for (const OptionSpec& option : command.options) {
      const std::string value =
          !option.takes_value
              ? ""
              : (option.choices.empty() ? std::string(":value:_files")
                                        : Cat(":value:(", absl::StrJoin(option.choices, " "), ")"));
      for (const std::string& name : option.names) {
        specs +=
            Cat(" \\\n    ", Quote(Cat("*", name, "[", ZshEscape(option.description), "]", value)));
      }
    }
    if (command.commands.empty()) {
      text += Cat("  _arguments -S", specs, ZshOperands(command), "\n}\n");
      return;
    }
    text += Cat("  local state line\n  _arguments -C", specs,
                " '1:command:->command' '*::argument:->argument'\n",
                "  case $state in\n    command)\n      local -a commands=(");
    for (const CommandSpec& child : command.commands) {
      text += Cat(" ", Quote(Cat(child.name, ":", ZshEscape(child.description))));
    }
    text += " )\n      _describe command commands ;;\n    argument)\n      case $line[1] in\n";
    for (const CommandSpec& child : command.commands) {
      text += Cat("        ", child.name, ") ",
                  FunctionName(path.empty() ? child.name : Cat(path, " ", child.name)), " ;;\n");
    }
    text += "      esac ;;\n  esac\n}\n";
  });
  return text + "compdef _wasmctl wasmctl\n";
}

std::string Fish(const CommandSpec& root) {
  std::string text =
      "# fish completion for wasmctl: wasmctl completion fish | source\ncomplete -c wasmctl -f\n";
  Walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    // Seen every word of the path, and none of the commands below.
    std::string condition;
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find(' ', begin), path.size());
      condition += Cat(condition.empty() ? "" : "; and ", "__fish_seen_subcommand_from ",
                       path.substr(begin, end - begin));
      begin = end + 1;
    }
    const std::string below = absl::StrJoin(Names(command), " ");
    if (!below.empty()) {
      condition +=
          Cat(condition.empty() ? "" : "; and ", "not __fish_seen_subcommand_from ", below);
    }
    const std::string start =
        Cat("complete -c wasmctl", condition.empty() ? "" : Cat(" -n ", Quote(condition)));
    for (const CommandSpec& child : command.commands) {
      text += Cat(start, " -a ", child.name, " -d ", Quote(child.description), "\n");
    }
    for (const OptionSpec& option : command.options) {
      text += start;
      for (const std::string& name : option.names) {
        text += name.starts_with("--") ? Cat(" -l ", name.substr(2)) : Cat(" -s ", name.substr(1));
      }
      if (option.takes_value) {
        text += option.choices.empty() ? std::string(" -r -F")
                                       : Cat(" -x -a ", Quote(absl::StrJoin(option.choices, " ")));
      }
      text += Cat(" -d ", Quote(option.description), "\n");
    }
    if (command.operand == Operand::kFile) {
      text += Cat(start, " -F\n");
    } else if (command.operand == Operand::kDigest) {
      text +=
          Cat(start, " -a '(wasmctl module ls -q 2>/dev/null | string replace sha256: \"\")'\n");
    } else if (command.operand == Operand::kShell) {
      text += Cat(start, " -a 'bash zsh fish'\n");
    }
  });
  return text;
}

}  // namespace

absl::StatusOr<std::string> CompletionScript(const CommandSpec& root, std::string_view shell) {
  if (shell == "bash") {
    return Bash(root);
  }
  if (shell == "zsh") {
    return Zsh(root);
  }
  if (shell == "fish") {
    return Fish(root);
  }
  return absl::InvalidArgumentError(
      Cat("no completion for '", shell, "'; there is one for bash, zsh and fish"));
}

}  // namespace wasmd::cli
