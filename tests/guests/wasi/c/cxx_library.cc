// The C++ library on WASI, as far as Debian's has it: streams on standard output, clocks, random
// numbers, what runs before and behind main. Cases as in check.h.
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

void Tell(const std::string& name, bool passed) {
  std::cout << (passed ? "ok" : "FAIL") << " C++ library: " << name
            << (passed ? "" : ": it is not so") << std::endl;
}

struct BeforeMain {
  BeforeMain() : words{{"constructed", 1}} {}
  ~BeforeMain() { Tell("a static object is destroyed behind main", words.at("constructed") == 1); }
  std::map<std::string, int> words;
};
const BeforeMain before_main;

void AtExit() {
  Tell("atexit is called", true);
}

}  // namespace

int main() {
  Tell("a static object is constructed before main", before_main.words.size() == 1);
  std::ostringstream text;
  text << 1.5 << ' ' << std::hex << 255;
  Tell("ostringstream formats", text.str() == "1.5 ff");
  const auto start = std::chrono::steady_clock::now();
  auto now = start;
  for (int i = 0; i < 100000000 && now == start; ++i) {
    now = std::chrono::steady_clock::now();
  }
  Tell("steady_clock goes on", now > start);
  Tell("system_clock is after 2023",
       std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) > 1672531200);
  std::random_device random;
  std::vector<unsigned> numbers;
  for (int i = 0; i < 8; ++i) {
    numbers.push_back(random());
  }
  Tell("random_device", numbers != std::vector<unsigned>(8, numbers[0]));
  std::string line;
  Tell("cin is at its end", !std::getline(std::cin, line) && std::cin.eof());
  std::atexit(AtExit);
  std::exit(0);
}
