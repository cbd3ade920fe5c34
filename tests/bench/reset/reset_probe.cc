// reset_probe SAMPLES: what it costs to give a used memory to the next instance, by how many of its
// pages were written.
//
// A memory of kMemoryBytes with a page of data, in turns
//   ours      of MemorySlots, as instances have it
//   madvise   the same mapping, reset by MADV_DONTNEED on all of it, always
// Pages of 4 KiB; the first so many, or as many all over the memory (spread). Prints flat JSON,
// nanoseconds: the minimum of SAMPLES under the plain key, the median under …_median_ns.
//   ours_16_pages_cycle   a memory taken, 16 pages written, given back
//   ours_16_pages_reset   the part of giving it back
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/api/engine.h"
#include "engine/platform/virtual_memory.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/memory_slots.h"
#include "engine/runtime/quota.h"
#include "tests/support/load_wat.h"

namespace wasmd::engine {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kMemoryPages = 65'536;
constexpr uint64_t kMemoryBytes = kMemoryPages * kPageBytes;
constexpr uint64_t kTouched[] = {0, 1, 16, 64, 256, 4096, kMemoryPages};

using Clock = std::chrono::steady_clock;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "reset_probe: %s\n", message.c_str());
  std::exit(1);
}

double NsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

void Write(std::byte* base, uint64_t pages, bool spread) {
  const uint64_t step = spread && pages != 0 ? kMemoryBytes / pages : kPageBytes;
  for (uint64_t page = 0; page < pages; ++page) {
    *const_cast<volatile std::byte*>(base + page * step) = std::byte{1};
  }
}

struct Took {
  double cycle_ns;
  double reset_ns;
};

Took Ours(MemorySlots& slots, Quota& quota, const std::shared_ptr<const MemoryImage>& image,
          uint64_t pages, bool spread) {
  const auto start = Clock::now();
  auto memory = LinearMemory::Create({{kMemoryBytes / kWasmPageBytes, {}}}, slots, quota, image);
  if (!memory.ok()) {
    Die(memory.status().ToString());
  }
  Write((*memory)->base(), pages, spread);
  const auto before = Clock::now();
  memory->reset();
  return {NsSince(start), NsSince(before)};
}

Took Madvise(Reservation& memory, uint64_t pages, bool spread) {
  const auto start = Clock::now();
  Write(memory.base(), pages, spread);
  const auto before = Clock::now();
  if (!memory.Discard(0, kMemoryBytes)) {
    Die("the system refuses MADV_DONTNEED");
  }
  return {NsSince(start), NsSince(before)};
}

void Print(const std::string& key, std::vector<double>& samples, bool last) {
  std::ranges::sort(samples);
  std::printf("  \"%s_ns\": %.1f,\n  \"%s_median_ns\": %.1f%s\n", key.c_str(), samples.front(),
              key.c_str(), samples[samples.size() / 2], last ? "" : ",");
}

void Run(int samples) {
  auto engine = Engine::Create({});
  if (!engine.ok()) {
    Die(engine.status().ToString());
  }
  const auto module = LoadWat(**engine, "(module (memory 4096) (data (i32.const 100) \"data\"))");
  std::map<std::string, std::vector<double>> figures;
  for (const uint64_t pages : kTouched) {
    for (const bool spread : {false, true}) {
      if (spread && (pages < 2 || pages == kMemoryPages)) {
        continue;  // Is the same.
      }
      // New ones each time: what was written before leaves page tables that both would walk.
      MemorySlots slots;
      StoreCharge charge(nullptr);
      Quota quota({"the probe", kMemoryBytes}, charge);
      const auto images = MakeMemoryImages((*module)->module(), slots);
      if (images.empty() || images[0] == nullptr) {
        Die("the module has no image");
      }
      auto reservation = Reservation::Create(MemorySlots::kReservationBytes);
      if (!reservation.ok() || !reservation->MakeAccessible(0, kMemoryBytes).ok() ||
          !reservation->MapContents(0, images[0]->contents()).ok()) {
        Die("no memory to compare with");
      }
      const std::string of = std::to_string(pages) + (spread ? "_spread_pages" : "_pages");
      for (int sample = -3; sample < samples; ++sample) {  // The first ones are not counted.
        const Took ours = Ours(slots, quota, images[0], pages, spread);
        const Took madvise = Madvise(*reservation, pages, spread);
        if (sample >= 0) {
          figures["ours_" + of + "_cycle"].push_back(ours.cycle_ns);
          figures["ours_" + of + "_reset"].push_back(ours.reset_ns);
          figures["madvise_" + of + "_cycle"].push_back(madvise.cycle_ns);
          figures["madvise_" + of + "_reset"].push_back(madvise.reset_ns);
        }
      }
    }
  }
  std::printf("{\n");
  size_t left = figures.size();
  for (auto& [key, values] : figures) {
    Print(key, values, --left == 0);
  }
  std::printf("}\n");
}

}  // namespace
}  // namespace wasmd::engine

int main(int argc, char** argv) {
  wasmd::engine::Run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 50);
  return 0;
}
