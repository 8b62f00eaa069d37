#include "hw/eu/eu_asm.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "hw/eu/eu_asm_inst.h"
#include "hw/eu/eu_encode.h"

namespace softxe {
namespace {

/// Where a statement came from, for errors that show later.
struct Origin {
  std::size_t line = 1;
  std::size_t column = 0;  ///< from 0
};

/// A statement, or bytes as they stand, at their place in the code.
struct Placed {
  EuStatement statement;
  std::vector<std::byte> data;
  Origin origin;
  std::int64_t offset = 0;  ///< bytes from the start
};

tl::unexpected<EuAsmError> error_at(Origin origin, const char* why) {
  return tl::unexpected<EuAsmError>(EuAsmError{.line = origin.line, .column = origin.column + 1, .why = why});
}

class Assembler {
 public:
  EuAsmResult<std::vector<std::byte>> run(std::string_view source) {
    for (std::size_t line = 1; !source.empty() || line == 1; ++line) {
      const std::size_t end = std::min(source.find('\n'), source.size());
      EuScan scan(source.substr(0, end));
      if (const Status status = read_line(scan, line); !status)
        return error_at({.line = line, .column = scan.position()}, status.error().why);
      source.remove_prefix(std::min(end + 1, source.size()));
    }
    return write();
  }

 private:
  Status read_line(EuScan& scan, std::size_t line) {
    SX_TRY_VOID(read_label(scan));
    if (scan.at_end()) return {};
    if (scan.peek() == '.') return read_directive(scan);
    const Origin origin{.line = line, .column = scan.position()};
    SX_TRY(EuStatement statement, eu_parse_statement(scan, context_));
    std::int64_t size = 0;
    for (const EuInst& inst : statement.insts) size += inst.bytes;
    placed_.push_back({.statement = std::move(statement), .data = {}, .origin = origin, .offset = size_});
    size_ += size;
    return {};
  }

  Status read_label(EuScan& scan) {
    const std::size_t start = scan.position();
    const std::string_view name = scan.word();
    if (name.empty() || !scan.eat(':')) {
      scan.go_back_to(start);
      return {};
    }
    if (labels_.emplace(name, size_).second) return {};
    scan.go_back_to(start);
    return fail(EINVAL, "this label is there already");
  }

  Status read_directive(EuScan& scan) {
    const std::size_t start = scan.position();
    const std::string_view directive = scan.chunk();
    if (directive == ".simd") {
      SX_TRY_VOID(read_simd(scan));
    } else if (directive == ".reg") {
      SX_TRY_VOID(read_register(scan));
    } else if (directive == ".data") {
      SX_TRY_VOID(read_data(scan));
    } else {
      scan.go_back_to(start);
      return fail(EINVAL, "directives are .simd, .reg and .data");
    }
    return scan.at_end() ? Status{} : fail(EINVAL, "this is not expected here");
  }

  Status read_simd(EuScan& scan) {
    SX_TRY(const std::int64_t channels, scan.integer("a number of channels is missing"));
    if (channels != 1 && channels != 2 && channels != 4 && channels != 8 && channels != 16 && channels != 32)
      return fail(EINVAL, "channels are 1, 2, 4, 8, 16 or 32");
    context_.simd = static_cast<std::uint8_t>(channels);
    return {};
  }

  Status read_register(EuScan& scan) {
    const std::string_view name = scan.word();
    if (name.empty()) return fail(EINVAL, "a name is missing");
    SX_TRY(const EuOperand operand, eu_parse_payload(scan, context_));
    if (operand.file != EuFile::kGrf) return fail(EINVAL, "names are for GRFs");
    context_.registers.insert_or_assign(std::string(name), operand.reg);
    return {};
  }

  /// Code is a sequence of halves of instructions.
  Status read_data(EuScan& scan) {
    constexpr const char* kWhy = "data is whole groups of 16 hexadecimal digits";
    scan.peek();  // to the digits
    const std::size_t start = scan.position();
    const auto bytes = eu_parse_hex(scan.chunk());
    if (!bytes || bytes->empty() || bytes->size() % 8 != 0) {
      scan.go_back_to(start);
      return fail(EINVAL, kWhy);
    }
    placed_.push_back({.statement = {}, .data = *bytes, .origin = {}, .offset = size_});
    size_ += static_cast<std::int64_t>(bytes->size());
    return {};
  }

  EuAsmResult<void> resolve(Placed& placed) {
    for (const EuLabelUse& use : placed.statement.labels) {
      const auto label = labels_.find(use.name);
      const Origin origin{.line = placed.origin.line, .column = use.column};
      if (label == labels_.end()) return error_at(origin, "there is no such label");
      const std::int64_t distance = label->second - placed.offset;
      if (distance < INT32_MIN || distance > INT32_MAX) return error_at(origin, "the label is too far away");
      EuInst& inst = placed.statement.insts[0];
      (use.offset == EuOffset::kJip ? inst.jip : inst.uip) = static_cast<std::int32_t>(distance);
    }
    return {};
  }

  EuAsmResult<std::vector<std::byte>> write() {
    std::vector<std::byte> code;
    for (Placed& placed : placed_) {
      if (const auto resolved = resolve(placed); !resolved) return tl::unexpected<EuAsmError>(resolved.error());
      code.insert(code.end(), placed.data.begin(), placed.data.end());
      for (const EuInst& inst : placed.statement.insts) {
        const auto bytes = eu_encode(inst);
        if (!bytes) return error_at(placed.origin, bytes.error().why);
        code.insert(code.end(), bytes->bytes().begin(), bytes->bytes().end());
      }
    }
    return code;
  }

  EuAsmContext context_;
  std::vector<Placed> placed_;
  std::map<std::string, std::int64_t, std::less<>> labels_;
  std::int64_t size_ = 0;
};

}  // namespace

EuAsmResult<std::vector<std::byte>> eu_assemble(std::string_view source) { return Assembler().run(source); }

std::optional<std::vector<std::byte>> eu_parse_hex(std::string_view digits) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    std::uint8_t value = 0;
    const auto [end, error] = std::from_chars(digits.data() + i, digits.data() + i + 2, value, 16);
    if (error != std::errc() || end != digits.data() + i + 2) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(value));
  }
  if (digits.size() % 2 != 0) return std::nullopt;
  return bytes;
}

EuAsmResult<EuInst> eu_parse_instruction(std::string_view line) {
  EuScan scan(line);
  const EuAsmContext context;
  const auto statement = eu_parse_statement(scan, context);
  if (!statement) return error_at({.column = scan.position()}, statement.error().why);
  if (statement->insts.size() != 1) return error_at({}, "more than one instruction");
  if (!statement->labels.empty()) return error_at({.column = statement->labels[0].column}, "there is no such label");
  return statement->insts[0];
}

}  // namespace softxe
