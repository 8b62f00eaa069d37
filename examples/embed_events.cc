// Why is my page where it is? A program with a GPU inside that reads its own events: prints each move of a page with
// what caused it, back to a call of the program or an access of the GPU.
#include <softxe/softxe.h>

#include <cinttypes>
#include <cstdio>
#include <map>

using namespace softxe::api;

constexpr std::uint64_t kBlock = 2 << 20;

static void print_story(const std::vector<Event>& events) {
  std::map<std::uint64_t, const Event*> by_number;
  for (const Event& event : events) by_number[event.seq] = &event;
  for (const Event& event : events) {
    if (event.to == PageState::kUnmapped || event.err != 0) continue;  // no move
    std::printf("%s of %#" PRIx64 " (%s)", event.to == PageState::kVram ? "to VRAM" : "home", event.address,
                event.cause);
    for (auto cause = by_number.find(event.parent); cause != by_number.end();
         cause = by_number.find(cause->second->parent)) {
      std::printf(" <- %s", cause->second->kind);
    }
    std::printf("\n");
  }
}

int main() {
  auto process = Process::simulated();
  auto reader = process->events();
  if (!reader) return 1;
  DeviceOptions options;
  options.vram_bytes = 2 * kBlock;  // room for two blocks
  auto device = Device::create(*process, options);
  auto vm = device->create_vm();
  if (!vm || !vm->bind_mirror({0, vm->bytes()})) return 1;
  auto engine = vm->create_engine();
  auto memory = process->map(3 * kBlock, 0x10000000);
  const std::uint32_t seven = 7;
  for (std::uint64_t block = 0; block < 3; ++block) {  // the third pushes the first one out
    if (!engine->write(*memory + block * kBlock, &seven, sizeof seven)) return 1;
  }
  std::uint32_t value = 0;
  if (!process->read(*memory + kBlock, &value, sizeof value) || value != 7) return 1;

  print_story(reader->read());
  const auto moves = reader->counted("svm_migrate_to_vram_count");
  std::printf("%" PRIu64 " moves to VRAM, and the device says %" PRIu64 "\n", *moves,
              *device->counter("svm_migrate_to_vram_count"));
  return *moves == *device->counter("svm_migrate_to_vram_count") && reader->lost() == 0 ? 0 : 1;
}
