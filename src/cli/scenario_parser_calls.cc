// The verbs of scenario files that access memory: `cpu` and `gpu`.
#include <fmt/format.h>
#include <algorithm>

#include "cli/scenario_parser.h"
#include "hw/eu/eu_asm.h"

namespace softxe::scenario::detail {

// --- the client ---------------------------------------------------------------------------------------

Protection Parser::protection_from(std::string_view text) {
  if (text == "none") return Protection::kNone;
  if (text == "r") return Protection::kRead;
  if (text == "rw") return Protection::kReadWrite;
  error(fmt::format("protection is none, r or rw, not '{}'", text));
  return Protection::kNone;
}

CpuMmap Parser::cpu_mmap() {
  CpuMmap result;
  result.span = span();
  while (ok() && !line_done() && peek().text != "->") {
    if (auto prot = option("prot")) {
      result.prot = protection_from(*prot);
    } else if (auto size = option("size")) {
      result.file_bytes = number_from(*size, "size");
    } else if (flag("shared")) {
      result.shared = true;
    } else if (flag("shmem")) {
      result.backing = Backing::kShmem;
    } else if (flag("file")) {
      result.backing = Backing::kFile;
    } else if (flag("hugetlb")) {
      result.backing = Backing::kHugetlb;
    } else if (flag("device")) {
      result.backing = Backing::kDevice;
    } else {
      no_more_words();
    }
  }
  return result;
}

CpuMremap Parser::cpu_mremap() {
  CpuMremap result;
  result.old = span();
  result.new_size = number("the new size");
  if (auto to = option("to")) result.to = number_from(*to, "to");
  result.dont_unmap = flag("dontunmap");
  return result;
}

/// u8, u32, ...: the bytes of the value that follows.
unsigned Parser::typed_value_bytes() {
  std::string type = word("u8, u16, u32 or u64");
  if (type == "u8") return 1;
  if (type == "u16") return 2;
  if (type == "u32") return 4;
  if (type == "u64") return 8;
  error(fmt::format("'{}' is none of u8, u16, u32, u64", type));
  return 4;
}

Command Parser::cpu(const std::string& verb) {
  CpuCall result;
  if (verb.size() > 4) result.process = verb.substr(4);
  std::string call = word("a CPU verb");
  if (call == "mmap") {
    result.call = cpu_mmap();
  } else if (call == "munmap") {
    result.call = CpuMunmap{span()};
  } else if (call == "mremap") {
    result.call = cpu_mremap();
  } else if (call == "mprotect") {
    Span part = span();
    result.call = CpuMprotect{part, protection_from(word("none, r or rw"))};
  } else if (call == "madvise") {
    Span part = span();
    result.call = CpuMadvise{part, word("an advice")};
  } else if (call == "mlock") {
    result.call = CpuMlock{span()};
  } else if (call == "munlock") {
    result.call = CpuMunlock{span()};
  } else if (call == "fork") {
    result.call = CpuFork{word("the child's name")};
  } else if (call == "exit") {
    result.call = CpuExit{};
  } else if (call == "pin") {
    result.call = CpuPin{number("an address")};
  } else if (call == "unpin") {
    result.call = CpuUnpin{number("an address")};
  } else if (call == "fill") {
    Span part = span();
    result.call = CpuFill{part, static_cast<std::uint8_t>(number("a byte value"))};
  } else if (call == "write") {
    std::uint64_t address = number("an address");
    unsigned bytes = typed_value_bytes();
    result.call = CpuWrite{Access{address, bytes, number("a value")}};
  } else if (call == "read") {
    CpuRead read{Access{number("an address"), 4, 0}, std::nullopt};
    if (ok() && !line_done() && peek().text != "->") {
      read.access.bytes = typed_value_bytes();
      if (!line_done() && peek().text != "->") read.expected = number("the expected value");
    }
    result.call = read;
  } else {
    error(fmt::format("there is no CPU verb '{}'", call));
  }
  return result;
}

// --- the GPU --------------------------------------------------------------------------------------------

GpuTarget Parser::gpu_target() {
  GpuTarget result;
  result.vm = word("a VM");
  if (auto tile = option("tile")) result.tile = static_cast<unsigned>(number_from(*tile, "tile"));
  return result;
}

/// Numbers with commas between them, 1 to `count_max`.
std::vector<std::uint64_t> Parser::numbers_from(std::string_view text, const char* what, std::size_t count_max) {
  std::vector<std::uint64_t> numbers;
  while (ok()) {
    const std::size_t comma = text.find(',');
    numbers.push_back(number_from(text.substr(0, comma), what));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (numbers.size() > count_max) error(fmt::format("{} are {} numbers at most", what, count_max));
  return numbers;
}

/// The lines up to one that begins with `}` are assembly, but for comments of this language.
std::vector<std::byte> Parser::kernel_code(unsigned lanes) {
  const int line = peek().line;
  const std::size_t start = peek().at + 1;
  require("{");
  while (ok() && !at_end() && !(peek().text == "}" && tokens_[at_ - 1].end_of_line())) ++at_;
  // In front of the first line's end, so that lines keep their numbers.
  std::string source = fmt::format(".simd {}", lanes);
  bool comment = false;
  for (const char c : text_.substr(start, ok() ? peek().at - start : 0)) {
    comment = c == '#' || (comment && c != '\n');
    if (!comment) source += c;
  }
  require("}");
  if (!ok()) return {};
  auto code = eu_assemble(source);
  if (code) return std::move(*code);
  error_at(line + static_cast<int>(code.error().line) - 1, code.error().why);
  return {};
}

Command Parser::gpu_kernel(const GpuTarget& target) {
  KernelSpec kernel;
  kernel.gpu = target;
  bool placed = false;
  bool sized = false;
  while (ok() && !line_done() && peek().text != "->" && peek().text != "{") {
    if (auto code = option("code")) {
      kernel.address = number_from(*code, "code");
      placed = true;
    } else if (auto groups = option("groups")) {
      const auto counts = numbers_from(*groups, "groups", kernel.groups.size());
      for (std::size_t i = 0; ok() && i < counts.size(); ++i) kernel.groups[i] = static_cast<std::uint32_t>(counts[i]);
    } else if (auto simd = option("simd")) {
      kernel.lanes = static_cast<unsigned>(number_from(*simd, "simd"));
    } else if (auto items = option("items")) {
      kernel.items = static_cast<std::uint32_t>(number_from(*items, "items"));
      sized = true;
    } else if (auto slm = option("slm")) {
      kernel.slm_bytes = static_cast<std::uint32_t>(number_from(*slm, "slm"));
    } else if (auto args = option("args")) {
      const auto values = numbers_from(*args, "args", kernel.arguments.size());
      if (ok()) std::copy(values.begin(), values.end(), kernel.arguments.begin());
    } else {
      no_more_words();
    }
  }
  if (!placed) error("code=ADDRESS is missing");
  if (!sized) kernel.items = kernel.lanes;
  if (ok() && peek().text == "{") kernel.code = kernel_code(kernel.lanes);
  return GpuKernel{std::move(kernel)};
}

Command Parser::gpu() {
  std::string verb = word("read, write, atomic, copy, fill or kernel");
  GpuTarget target = gpu_target();
  if (verb == "write") {
    std::uint64_t address = number("an address");
    unsigned bytes = typed_value_bytes();
    return GpuWrite{target, Access{address, bytes, number("a value")}};
  }
  if (verb == "read") {
    GpuRead read{target, Access{number("an address"), 4, 0}, std::nullopt};
    if (ok() && !line_done() && peek().text != "->") {
      read.access.bytes = typed_value_bytes();
      if (!line_done() && peek().text != "->") read.expected = number("the expected value");
    }
    return read;
  }
  if (verb == "atomic") {
    std::uint64_t address = number("an address");
    unsigned bytes = typed_value_bytes();
    require("add");
    GpuAtomic atomic{target, Access{address, bytes, number("the addend")}, std::nullopt};
    if (auto old = option("old")) atomic.expected = number_from(*old, "old");
    return atomic;
  }
  if (verb == "copy") {
    std::uint64_t to = number("the destination");
    return GpuCopy{target, to, span()};
  }
  if (verb == "fill") {
    Span part = span();
    return GpuFill{target, part, static_cast<std::uint8_t>(number("a byte value"))};
  }
  if (verb == "kernel") return gpu_kernel(target);
  error(fmt::format("there is no GPU verb '{}'", verb));
  return Mark{};
}

}  // namespace softxe::scenario::detail
