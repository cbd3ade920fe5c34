// C++ with containers, algorithms, strings, streams and virtual calls: counts the words of stdin
// and prints the most frequent ones. word_count [N] prints N of them (default 10).
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

class Order {
 public:
  virtual ~Order() = default;
  virtual bool Before(const std::pair<std::string, uint64_t>& a,
                      const std::pair<std::string, uint64_t>& b) const = 0;
};

class ByCount : public Order {
 public:
  bool Before(const std::pair<std::string, uint64_t>& a,
              const std::pair<std::string, uint64_t>& b) const override {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  }
};

class ByWord : public Order {
 public:
  bool Before(const std::pair<std::string, uint64_t>& a,
              const std::pair<std::string, uint64_t>& b) const override {
    return a.first < b.first;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const size_t wanted = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10;
  std::unordered_map<std::string, uint64_t> counts;
  std::map<size_t, uint64_t> lengths;
  std::string line;
  uint64_t lines = 0;
  std::ios::sync_with_stdio(false);
  while (std::getline(std::cin, line)) {
    ++lines;
    std::string word;
    line.push_back(' ');
    for (const char c : line) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
        word.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      } else if (!word.empty()) {
        ++counts[word];
        ++lengths[word.size()];
        word.clear();
      }
    }
  }
  std::vector<std::pair<std::string, uint64_t>> sorted(counts.begin(), counts.end());
  std::unique_ptr<Order> order;
  if (argc > 2) {
    order = std::make_unique<ByWord>();
  } else {
    order = std::make_unique<ByCount>();
  }
  std::sort(sorted.begin(), sorted.end(),
            [&](const auto& a, const auto& b) { return order->Before(a, b); });
  std::cout << lines << " lines, " << sorted.size() << " words\n";
  for (size_t i = 0; i < std::min(wanted, sorted.size()); ++i) {
    std::cout << sorted[i].second << ' ' << sorted[i].first << '\n';
  }
  for (const auto& [length, count] : lengths) {
    std::cout << "length " << length << ": " << count << '\n';
  }
  std::cout.flush();
  return std::cout ? 0 : 1;
}
