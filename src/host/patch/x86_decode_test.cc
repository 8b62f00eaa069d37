#include "host/patch/x86_decode.h"

#include <capstone/capstone.h>
#include <gtest/gtest.h>
#include <link.h>

#include <cstring>
#include <string>
#include <vector>

#include "host/patch/elf_image.h"

namespace softxe::patch {
namespace {

struct DecodeCase {
  const char* what;
  std::vector<std::uint8_t> bytes;
  std::uint8_t length;  ///< 0: refused
  Flow flow;
  std::int32_t displacement;
};

TEST(X86Decode, Table) {
  const DecodeCase cases[] = {
      {"mov imm32", {0xb8, 9, 0, 0, 0}, 5, Flow::kNext, 0},
      {"mov imm64", {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 10, Flow::kNext, 0},
      {"mov imm16", {0x66, 0xb8, 1, 2}, 4, Flow::kNext, 0},
      {"syscall", {0x0f, 0x05}, 2, Flow::kNext, 0},
      {"or r10d", {0x41, 0x83, 0xca, 0x40}, 4, Flow::kNext, 0},
      {"load behind SIB", {0x4c, 0x8b, 0x4c, 0x24, 0x08}, 5, Flow::kNext, 0},
      {"rip relative", {0x8b, 0x05, 1, 2, 3, 4}, 6, Flow::kNext, 0},
      {"SIB without base", {0x8b, 0x04, 0x25, 1, 2, 3, 4}, 7, Flow::kNext, 0},
      {"test group 3", {0xf7, 0xc7, 1, 2, 3, 4}, 6, Flow::kNext, 0},
      {"neg group 3", {0xf7, 0xd8}, 2, Flow::kNext, 0},
      {"jne", {0x75, 0x14}, 2, Flow::kBranch, 0x14},
      {"jmp back", {0xeb, 0xfe}, 2, Flow::kBranch, -2},
      {"ja rel32", {0x0f, 0x87, 0, 1, 0, 0}, 6, Flow::kBranch, 0x100},
      {"call", {0xe8, 0xff, 0xff, 0xff, 0xff}, 5, Flow::kBranch, -1},
      {"xbegin", {0xc7, 0xf8, 4, 0, 0, 0}, 6, Flow::kBranch, 4},
      {"call rax", {0xff, 0xd0}, 2, Flow::kIndirectCall, 0},
      {"notrack jmp rax", {0x3e, 0xff, 0xe0}, 3, Flow::kIndirectJump, 0},
      {"ret", {0xc3}, 1, Flow::kReturn, 0},
      {"ud2", {0x0f, 0x0b}, 2, Flow::kReturn, 0},
      {"endbr64", {0xf3, 0x0f, 0x1e, 0xfa}, 4, Flow::kNext, 0},
      {"vzeroupper", {0xc5, 0xf8, 0x77}, 3, Flow::kNext, 0},
      {"vpalignr", {0xc4, 0xe3, 0x75, 0x0f, 0xc2, 8}, 6, Flow::kNext, 0},
      {"evex store", {0x62, 0xf1, 0xfe, 0x48, 0x7f, 0x47, 0x01}, 7, Flow::kNext, 0},
      {"jmp with 66", {0x66, 0xe9, 0, 0, 0, 0}, 0, Flow::kNext, 0},
      {"push es", {0x06}, 0, Flow::kNext, 0},
      {"XOP", {0x8f, 0xe8, 0x78, 0xc0, 0xc1, 1}, 0, Flow::kNext, 0},
      {"cut short", {0xb8, 9, 0, 0}, 0, Flow::kNext, 0},
      {"empty", {}, 0, Flow::kNext, 0},
      {"prefixes only", std::vector<std::uint8_t>(16, 0x66), 0, Flow::kNext, 0},
  };
  for (const DecodeCase& c : cases) {
    SCOPED_TRACE(c.what);
    const auto got = decode(c.bytes);
    ASSERT_EQ(got.has_value(), c.length != 0);
    if (!got) continue;
    EXPECT_EQ(got->length_bytes, c.length);
    EXPECT_EQ(got->flow, c.flow);
    EXPECT_EQ(got->displacement, c.displacement);
  }
}

/// Compares with capstone, instruction by instruction, over the functions of one object.
class Oracle {
 public:
  Oracle() {
    EXPECT_EQ(cs_open(CS_ARCH_X86, CS_MODE_64, &handle_), CS_ERR_OK);
    cs_option(handle_, CS_OPT_DETAIL, CS_OPT_ON);
    instruction_ = cs_malloc(handle_);
  }
  ~Oracle() {
    cs_free(instruction_, 1);
    cs_close(&handle_);
  }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  void compare(const LoadedImage& image) {
    image.for_each_function([&](HostRange f) {
      if (image.text().contains(f)) compare_function(f);
    });
  }
  std::size_t compared = 0;
  std::size_t refused = 0;  ///< known to capstone, not to us

 private:
  void compare_function(HostRange function) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(function.start().value());
    std::size_t left = function.size();
    std::uint64_t address = function.start().value();
    while (left > 0) {
      const std::span<const std::uint8_t> here(at, left);
      const std::uint64_t from = address;
      // What capstone 4 does not know cannot be compared.
      if (!cs_disasm_iter(handle_, &at, &left, &address, instruction_)) return;
      const auto mine = decode(here);
      if (!mine) {
        ++refused;
        continue;
      }
      ++compared;
      ASSERT_EQ(mine->length_bytes, instruction_->size) << describe(from);
      const bool branch = relative_branch();
      ASSERT_EQ(mine->flow == Flow::kBranch, branch) << describe(from);
      if (!branch) continue;
      const auto target = static_cast<std::uint64_t>(instruction_->detail->x86.operands[0].imm);
      ASSERT_EQ(address + static_cast<std::uint64_t>(std::int64_t{mine->displacement}), target) << describe(from);
    }
  }
  bool relative_branch() const {
    const cs_detail& d = *instruction_->detail;
    const bool immediate = d.x86.op_count == 1 && d.x86.operands[0].type == X86_OP_IMM;
    if (!immediate) return false;
    if (instruction_->id == X86_INS_XBEGIN) return true;
    for (std::uint8_t i = 0; i < d.groups_count; ++i)
      if (d.groups[i] == X86_GRP_JUMP || d.groups[i] == X86_GRP_CALL) return true;
    return std::strncmp(instruction_->mnemonic, "loop", 4) == 0;
  }
  std::string describe(std::uint64_t address) const {
    return std::to_string(address) + ": " + instruction_->mnemonic + " " + instruction_->op_str;
  }

  csh handle_ = 0;
  cs_insn* instruction_ = nullptr;
};

TEST(X86Decode, AgreesWithCapstoneOnAllLoadedLibraries) {
  struct Totals {
    std::size_t compared = 0;
    std::size_t refused = 0;
  } totals;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& t = *static_cast<Totals*>(data);
        auto image = LoadedImage::from_headers({info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum});
        if (!image || info->dlpi_name[0] == 0 || std::strstr(info->dlpi_name, "vdso")) return 0;
        Oracle oracle;
        oracle.compare(*image);
        t.compared += oracle.compared;
        t.refused += oracle.refused;
        return 0;
      },
      &totals);
  EXPECT_GT(totals.compared, 250'000u);
  // `data16 call` of thread-local storage and AMD's exotica may be refused, ordinary code not.
  EXPECT_LT(totals.refused * 1000, totals.compared);
  RecordProperty("instructions", static_cast<int>(totals.compared));
  RecordProperty("refused", static_cast<int>(totals.refused));
}

}  // namespace
}  // namespace softxe::patch
