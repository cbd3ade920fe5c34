// wasmd_conformance: runs the official test suite, converted to JSON, through the real engine.
//
//   wasmd_conformance SUITE [--only PREFIX …] [--list FILE] [--mode lazy|eager|both]
//                     [--bounds guard|explicit|both] [--without-avx] [--deterministic] [--metered]
//                     [--expect FILE] [--json FILE] [--verbose]
//
// SUITE is the suite's folder (the one with core/), or any folder below it. Each script runs in a
// process of its own, so that a crash is that script's failure. In several modes, a command has
// passed if it passed in all of them, and counts once. Counts by folder, then the scripts that
// failed.
//
// --expect names the scripts that fail, a line each ("core/i32"; "core/simd/" for whatever is in
// it; # begins a comment). Exit code 1 where another script failed, or where one that is named by
// itself passes: the list is to be true. With --json the counts also go to a file: folder ->
// scripts, scripts_passed, assertions, passed, failed, not_applicable; "core" sums its folders;
// failed_scripts is a list.

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "engine/api/engine.h"
#include "tests/spec/script_runner.h"

namespace {

namespace fs = std::filesystem;
using wasmd::engine::BoundsChecks;
using wasmd::engine::CompileMode;
using wasmd::tests::ScriptResult;
using Json = nlohmann::ordered_json;

// A script that takes longer than this is stuck; the slowest takes a second.
constexpr unsigned kScriptTimeoutSeconds = 120;

// How the engine is set up for a run of all the scripts.
struct Mode {
  CompileMode compile = CompileMode::kLazy;
  BoundsChecks bounds = BoundsChecks::kGuardPages;
  [[nodiscard]] std::string name() const {
    return std::string(compile == CompileMode::kEager ? "eager" : "lazy") + ", " +
           (bounds == BoundsChecks::kExplicit ? "explicit checks" : "guard pages");
  }
};

struct Job {
  fs::path script;     // The JSON file.
  std::string name;    // "core/i32", as the lists have it below core/.
  std::string folder;  // "core", "core/simd".
  Mode mode;
  wasmd::engine::EngineOptions engine;
  ScriptResult result;
  bool is_metered = false;
};

struct Counts {
  uint32_t scripts = 0, scripts_passed = 0, passed = 0, failed = 0, not_applicable = 0;
  void Add(const Counts& other) {
    scripts += other.scripts;
    scripts_passed += other.scripts_passed;
    passed += other.passed;
    failed += other.failed;
    not_applicable += other.not_applicable;
  }
  [[nodiscard]] Json ToJson() const {
    return {{"scripts", scripts},
            {"scripts_passed", scripts_passed},
            {"assertions", passed + failed},
            {"passed", passed},
            {"failed", failed},
            {"not_applicable", not_applicable}};
  }
};

// In the child: runs the script and writes what came of it.
[[noreturn]] void RunChild(const Job& job, int out) {
  alarm(kScriptTimeoutSeconds);
  wasmd::engine::EngineOptions options = job.engine;
  options.bounds_checks = job.mode.bounds;
  auto engine = wasmd::engine::Engine::Create(options);
  ScriptResult result;
  if (engine.ok()) {
    result = wasmd::tests::RunScript(**engine, job.script,
                                     {.mode = job.mode.compile, .is_metered = job.is_metered});
  } else {
    result.failed = 1;
    result.failures.emplace_back(engine.status().message());
  }
  const std::string text = Json{
      {"passed", result.passed},
      {"failed", result.failed},
      {"not_applicable", result.not_applicable},
      {"failed_commands", result.failed_commands},
      {"failures",
       result.failures}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(out, text.data() + done, text.size() - done);
    if (n <= 0) {
      break;
    }
    done += static_cast<size_t>(n);
  }
  _exit(0);
}

// Runs the job in a process of its own.
void RunJob(Job& job) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
    std::perror("pipe2");
    std::exit(2);
  }
  const pid_t child = fork();
  if (child == 0) {
    RunChild(job, pipe_fds[1]);
  }
  close(pipe_fds[1]);
  std::string text;
  char buffer[65536];
  for (ssize_t n; (n = read(pipe_fds[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(pipe_fds[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const Json json = Json::parse(text, nullptr, false);
  if (!WIFEXITED(status) || json.is_discarded()) {
    job.result.failed = 1;
    job.result.failures = {WIFSIGNALED(status)
                               ? "crashed with signal " + std::to_string(WTERMSIG(status))
                               : "ended without a result"};
    return;
  }
  job.result.passed = json.at("passed");
  job.result.failed = json.at("failed");
  job.result.not_applicable = json.at("not_applicable");
  job.result.failed_commands = json.at("failed_commands").get<std::vector<uint32_t>>();
  job.result.failures = json.at("failures").get<std::vector<std::string>>();
}

std::vector<Job> FindJobs(const fs::path& suite, const std::vector<std::string>& only,
                          const std::set<std::string>& list, const std::vector<Mode>& modes,
                          const wasmd::engine::EngineOptions& engine) {
  std::vector<Job> jobs;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(suite)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".json" || path.stem() != path.parent_path().filename()) {
      continue;
    }
    const fs::path relative = fs::relative(path.parent_path(), suite);
    const std::string name = relative.string();
    const auto in = [&](const std::string& prefix) {
      return name == prefix || name.starts_with(prefix + "/");
    };
    if (!only.empty() && std::ranges::none_of(only, in)) {
      continue;
    }
    const std::string below_core = name.starts_with("core/") ? name.substr(5) : name;
    if (!list.empty() && !list.contains(below_core)) {
      continue;
    }
    for (const Mode& mode : modes) {
      std::string folder = relative.parent_path().string();
      jobs.push_back(
          {path, name, folder.empty() ? suite.filename().string() : folder, mode, engine, {}});
    }
  }
  std::ranges::sort(jobs, {}, [](const Job& job) {
    return std::tuple(job.name, job.mode.bounds, job.mode.compile);
  });
  return jobs;
}

void RunAll(std::vector<Job>& jobs, unsigned threads) {
  // A forked child of a threaded process may only do what is async-signal-safe, so workers are
  // processes' parents one level up: each worker process takes every threads-th job and reports
  // through files of its own.
  char folder[] = "/tmp/wasmd_conformance.XXXXXX";
  if (mkdtemp(folder) == nullptr) {
    std::perror("mkdtemp");
    std::exit(2);
  }
  std::vector<pid_t> workers;
  for (unsigned worker = 0; worker < threads; ++worker) {
    const pid_t pid = fork();
    if (pid == 0) {
      Json results = Json::array();
      for (size_t i = worker; i < jobs.size(); i += threads) {
        RunJob(jobs[i]);
        const ScriptResult& r = jobs[i].result;
        results.push_back({i, r.passed, r.failed, r.not_applicable, r.failed_commands, r.failures});
      }
      std::ofstream(fs::path(folder) / std::to_string(worker)) << results.dump();
      _exit(0);
    }
    workers.push_back(pid);
  }
  for (const pid_t pid : workers) {
    waitpid(pid, nullptr, 0);
  }
  for (Job& job : jobs) {
    job.result.failed = 1;  // Unless its worker says otherwise.
    job.result.failures = {"its worker process died"};
  }
  for (unsigned worker = 0; worker < threads; ++worker) {
    std::ifstream file(fs::path(folder) / std::to_string(worker));
    const Json results = Json::parse(file, nullptr, false);
    for (const Json& r : results.is_array() ? results : Json::array()) {
      jobs[r[0]].result = {r[1], r[2], r[3], r[4].get<std::vector<uint32_t>>(),
                           r[5].get<std::vector<std::string>>()};
    }
  }
  fs::remove_all(folder);
}

// One script in all modes: a command that failed in one of them failed.
Counts Sum(std::span<const Job> modes) {
  std::set<uint32_t> failed_commands;
  uint32_t assertions = 0;
  uint32_t failed = 0;
  for (const Job& job : modes) {
    assertions = std::max(assertions, job.result.passed + job.result.failed);
    failed = std::max(failed, job.result.failed);
    failed_commands.insert(job.result.failed_commands.begin(), job.result.failed_commands.end());
  }
  failed = std::max(failed, static_cast<uint32_t>(failed_commands.size()));
  return {.scripts = 1,
          .scripts_passed = failed == 0 ? 1u : 0u,
          .passed = assertions - failed,
          .failed = failed,
          .not_applicable = modes.front().result.not_applicable};
}

// The scripts that fail, and the folders, whose names end in '/', of which any script may.
struct Expectations {
  std::set<std::string> scripts;
  std::vector<std::string> folders;
  [[nodiscard]] bool MayFail(const std::string& script) const {
    return scripts.contains(script) || std::ranges::any_of(folders, [&](const std::string& in) {
             return script.starts_with(in);
           });
  }
};

Expectations ReadExpectations(const std::string& file_name) {
  Expectations expectations;
  std::ifstream file(file_name);
  for (std::string line; std::getline(file, line);) {
    line.resize(std::min(line.find('#'), line.size()));  // Without the comment.
    line.resize(line.find_last_not_of(" \t") + 1);
    if (line.ends_with('/')) {
      expectations.folders.push_back(line);
    } else if (!line.empty()) {
      expectations.scripts.insert(line);
    }
  }
  return expectations;
}

void PrintFailures(const Job& job, bool verbose) {
  std::printf("failed: %s (%s): %u of %u\n", job.name.c_str(), job.mode.name().c_str(),
              job.result.failed, job.result.failed + job.result.passed);
  for (size_t i = 0; i < job.result.failures.size() && (verbose || i < 1); ++i) {
    std::printf("    %s\n", job.result.failures[i].substr(0, 400).c_str());
  }
}

void PrintCounts(const std::string& folder, const Counts& c) {
  std::printf("%-40s %9u %9u %11u %9u %9u %6u\n", folder.c_str(), c.scripts, c.scripts_passed,
              c.passed + c.failed, c.passed, c.failed, c.not_applicable);
}

// `jobs` has a script's modes one after the other.
int Report(std::span<const Job> jobs, size_t mode_count, const Expectations& expectations,
           const std::string& json_file, bool verbose) {
  std::map<std::string, Counts> folders;
  Json failed_scripts = Json::array();
  std::vector<std::string> unexpected;
  std::vector<std::string> stale;
  for (size_t i = 0; i < jobs.size(); i += mode_count) {
    const std::string& name = jobs[i].name;
    const Counts counts = Sum(jobs.subspan(i, mode_count));
    folders[jobs[i].folder].Add(counts);
    if (counts.failed != 0) {
      failed_scripts.push_back(name);
      if (!expectations.MayFail(name)) {
        unexpected.push_back(name);
      }
    } else if (expectations.scripts.contains(name)) {
      stale.push_back(name);
    }
  }
  for (const Job& job : jobs) {
    if (!job.result.ok() && (verbose || !expectations.MayFail(job.name))) {
      PrintFailures(job, verbose);
    }
  }
  // "core" in the JSON is the sum of its folders; the table shows them apart.
  Json out = Json::object();
  Counts core;
  std::printf("%-40s %9s %9s %11s %9s %9s %6s\n", "folder", "scripts", "passed", "assertions",
              "passed", "failed", "n/a");
  for (const auto& [folder, counts] : folders) {
    PrintCounts(folder, counts);
    out[folder] = counts.ToJson();
    if (folder == "core" || folder.starts_with("core/")) {
      core.Add(counts);
    }
  }
  if (core.scripts != 0) {
    out["core"] = core.ToJson();
    PrintCounts("core in all", core);
  }
  out["failed_scripts"] = failed_scripts;
  if (!json_file.empty()) {
    std::ofstream(json_file) << out.dump(2) << "\n";
  }
  std::printf("%zu scripts failed in at least one of %zu modes; %zu of them are expected to\n",
              failed_scripts.size(), mode_count, failed_scripts.size() - unexpected.size());
  for (const std::string& name : unexpected) {
    std::printf("should pass, and failed: %s\n", name.c_str());
  }
  for (const std::string& name : stale) {
    std::printf("is expected to fail, and passed: %s (take it off the list)\n", name.c_str());
  }
  return unexpected.empty() && stale.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs the official WebAssembly test suite, converted to JSON, through the engine.");
  std::string suite, json_file, list_file, expect_file, mode = "lazy", bounds = "guard";
  std::vector<std::string> only;
  unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  bool verbose = false, without_avx = false, deterministic = false, metered = false;
  app.add_option("suite", suite, "the suite's folder (the one with core/), or a folder below it")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--only", only, "run scripts or folders of these names (core/simd, core/i32)");
  app.add_option("--list", list_file, "run the scripts that this file names, relative to core/")
      ->check(CLI::ExistingFile);
  app.add_option("--mode", mode, "how functions are compiled")
      ->check(CLI::IsMember({"lazy", "eager", "both"}))
      ->capture_default_str();
  app.add_option("--bounds", bounds, "how accesses to memories stay inside of them")
      ->check(CLI::IsMember({"guard", "explicit", "both"}))
      ->capture_default_str();
  app.add_flag("--without-avx", without_avx, "compile for a CPU that has SSE4.1 and no AVX");
  app.add_flag("--deterministic", deterministic, "relaxed SIMD as in the deterministic profile");
  app.add_flag("--metered", metered, "with code that counts fuel, of which there is plenty");
  app.add_option("--jobs", threads, "scripts at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--expect", expect_file, "the scripts that fail: exit code 1 where others do")
      ->check(CLI::ExistingFile);
  app.add_option("--json", json_file, "write the counts to this file");
  app.add_flag("--verbose", verbose, "print up to 20 failures of a script instead of one");
  CLI11_PARSE(app, argc, argv);

  std::set<std::string> list;
  if (!list_file.empty()) {
    std::ifstream file(list_file);
    for (std::string line; std::getline(file, line);) {
      if (!line.empty()) {
        list.insert(line);
      }
    }
  }
  std::vector<Mode> modes;
  for (const BoundsChecks checks : {BoundsChecks::kGuardPages, BoundsChecks::kExplicit}) {
    if (bounds == (checks == BoundsChecks::kExplicit ? "guard" : "explicit")) {
      continue;
    }
    for (const CompileMode compile : {CompileMode::kLazy, CompileMode::kEager}) {
      if (mode != (compile == CompileMode::kEager ? "lazy" : "eager")) {
        modes.push_back({compile, checks});
      }
    }
  }
  std::vector<Job> jobs =
      FindJobs(fs::canonical(suite), only, list, modes,
               {.deterministic_relaxed_simd = deterministic, .use_avx = !without_avx});
  if (jobs.empty() || (!list.empty() && jobs.size() != list.size() * modes.size())) {
    std::fprintf(stderr, "wasmd_conformance: %zu scripts found in %s, %zu asked for\n",
                 jobs.size() / modes.size(), suite.c_str(), list.size());
    return 2;
  }
  for (Job& job : jobs) {
    job.is_metered = metered;
  }
  RunAll(jobs, threads);
  return Report(jobs, modes.size(), ReadExpectations(expect_file), json_file, verbose);
}
