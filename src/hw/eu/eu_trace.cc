#include "hw/eu/eu_trace.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <charconv>
#include <cstring>

#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_operand.h"
#include "hw/eu/eu_program.h"
#include "hw/eu/eu_text.h"

namespace softxe {
namespace {

std::optional<EuTraceChoice> chosen;          // written before kernels run
std::atomic<std::uint64_t> kernels_begun{0};  // of the process

// ---- choice --------------------------------------------------------------------------------------

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The text up to `separator`, which is taken off `rest` with it; all of it when there is none.
std::string_view take(std::string_view& rest, char separator) {
  const std::size_t at = rest.find(separator);
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return part;
}

std::optional<EuTriple> parse_group(std::string_view text) {
  EuTriple group{};
  for (unsigned i = 0; i < group.size(); ++i) {
    const auto number = parse_number(take(text, ','));
    if (!number || *number > ~std::uint32_t{0}) return std::nullopt;
    group[i] = static_cast<std::uint32_t>(*number);
    if (text.empty()) return group;
  }
  return std::nullopt;
}

// ---- lines ---------------------------------------------------------------------------------------

/// One line at a time, one write each: lines of several threads do not mix. What does not fit is cut off.
class Line {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    const std::size_t room = text_.size() - 1 - size_;
    const auto end = fmt::format_to_n(text_.data() + size_, room, format, std::forward<Args>(args)...);
    size_ += std::min(end.size, room);
  }
  void write() {
    text_[size_++] = '\n';
    const auto ignored = ::write(STDERR_FILENO, text_.data(), size_);
    static_cast<void>(ignored);
    size_ = 0;
  }

 private:
  std::array<char, 1024> text_;
  std::size_t size_ = 0;
};

void add_value(Line& line, EuType type, std::uint64_t bits) {
  if (type == EuType::kF) {
    line.add(" {:g}", std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  } else if (type == EuType::kDF) {
    line.add(" {:g}", std::bit_cast<double>(bits));
  } else {
    const unsigned digits = 2 * eu_type_bytes(type);
    line.add(" {:0{}x}", digits == 16 ? bits : bits & ((std::uint64_t{1} << 4 * digits) - 1), digits);
  }
}

/// Sixteen values a line; one, when all are the same.
void write_values(const char* name, EuType type, const EuLanes& lanes, unsigned channels) {
  const bool same = std::all_of(lanes.begin(), lanes.begin() + channels, [&](auto lane) { return lane == lanes[0]; });
  Line line;
  for (unsigned k = 0; k < (same ? 1 : channels); ++k) {
    if (k % 16 == 0) {
      if (k != 0) line.write();
      line.add("      {:<5}", k == 0 ? name : "");
    }
    add_value(line, type, lanes[k]);
  }
  if (same && channels > 1) line.add(" (all {})", channels);
  line.write();
}

/// The registers of a message, as dwords.
void write_registers(const EuThread& thread, const char* name, unsigned first, unsigned count) {
  for (unsigned reg = first; reg < std::min(first + count, thread.grf_count()); ++reg) {
    std::array<std::uint32_t, kEuGrfBytes / 4> dwords;
    std::memcpy(dwords.data(), thread.grf.data() + reg * kEuGrfBytes, sizeof dwords);
    Line line;
    line.add("      {:<5}", fmt::string_view(reg == first ? name : ""));
    line.add(" r{}:", reg);
    for (const std::uint32_t dword : dwords) line.add(" {:08x}", dword);
    line.write();
  }
}

// ---- one instruction -----------------------------------------------------------------------------

bool is_send(const EuInst& inst) { return inst.op == EuOp::kSend || inst.op == EuOp::kSendc; }
bool has_elements(const EuOperand& operand) { return operand.file != EuFile::kNone && !operand.null(); }
/// Its operands are elements of regions.
bool has_elements(const EuInst& inst) {
  switch (inst.op) {
    case EuOp::kIllegal:
    case EuOp::kSync:
    case EuOp::kNop:
    case EuOp::kDpas:
    case EuOp::kSend:
    case EuOp::kSendc: return false;
    default: return inst.op < EuOp::kJmpi || inst.op > EuOp::kJoin;
  }
}

/// The descriptor's lengths of payload and answer, in registers; of a0, if it stands there.
std::uint32_t descriptor(const EuThread& thread, const EuInst& inst) {
  if (!inst.send.desc_in_a0) return inst.send.desc;
  return static_cast<std::uint32_t>(thread.a0[1]) << 16 | thread.a0[0];
}

void write_sources(const EuThread& thread, const EuInst& inst) {
  static constexpr const char* kNames[] = {"src0", "src1", "src2"};
  if (is_send(inst)) {
    write_registers(thread, kNames[0], inst.src[0].reg, descriptor(thread, inst) >> 25 & 0xF);
    if (!inst.src[1].null()) write_registers(thread, kNames[1], inst.src[1].reg, inst.send.src1_length);
    return;
  }
  if (!has_elements(inst)) return;
  for (unsigned source = 0; source < inst.src.size(); ++source) {
    if (!has_elements(inst.src[source])) continue;
    write_values(kNames[source], inst.src[source].type, eu_read(thread, inst, source), inst.exec_size);
  }
}

/// The destination as a source: elements of a stride.
void write_results(const EuThread& thread, const EuInst& inst) {
  if (is_send(inst)) {
    if (!inst.dst.null()) write_registers(thread, "dst", inst.dst.reg, descriptor(thread, inst) >> 20 & 0x1F);
  } else if (has_elements(inst) && has_elements(inst.dst) && !inst.dst.indirect) {
    EuInst reader{};
    reader.exec_size = inst.exec_size;
    reader.src[0] = inst.dst;
    reader.src[0].region = {.vertical = inst.dst.region.horizontal, .width = 1, .horizontal = 0};
    write_values("dst", inst.dst.type, eu_read(thread, reader, 0), inst.exec_size);
  }
  if (inst.cond == EuCond::kNone) return;
  Line line;
  line.add("      f{} {:08x}", inst.flag, thread.flag[inst.flag]);
  line.write();
}

void write_start(const EuThread& thread) {
  std::array<std::uint32_t, 8> r0;
  std::memcpy(r0.data(), thread.grf.data(), sizeof r0);
  Line line;
  line.add("softxe trace: kernel {} at {:#x}, group {},{},{}, thread {} on hardware thread {}, {} lanes", thread.traced,
           thread.ip, r0[1], r0[6], r0[7], thread.number, thread.hw_id, thread.simd);
  line.write();
}

const char* how_it_stopped(EuStopKind kind) {
  switch (kind) {
    case EuStopKind::kBudget: return nullptr;
    case EuStopKind::kBarrier: return "waits at a barrier";
    case EuStopKind::kEnded: return "ends";
    case EuStopKind::kFault: return "fails by a page fault";
    case EuStopKind::kIllegal: return "is illegal";
    case EuStopKind::kUnsupported: return "is not supported";
  }
  return nullptr;
}

EuStop trace_one(EuThread& thread, EuEnv& env) {
  const EuProgram::Reader reader{env.memory, thread, (std::uint64_t{1} << env.group.bases().va_bits) - 1};
  const EuRecord* record = env.program.find(thread.ip, reader);
  // What channels that waited here are told anyway; so the line shows the mask it runs with.
  if (record != nullptr && record->wake_point) eu_wake(thread, record->ip);
  // A copy: the record may go when the next one is decoded.
  const EuInst inst = record != nullptr ? record->inst : EuInst{};
  Line line;
  line.add("{:3} {:#x} {}", thread.number, thread.ip, record != nullptr ? eu_text(inst).view() : "(no instruction)");
  if (inst.pred != EuPred::kNone) line.add("   f{} {:08x}", inst.flag, thread.flag[inst.flag]);
  line.add("   mask {:08x}", thread.mask);
  line.write();
  if (record != nullptr) write_sources(thread, inst);
  const EuStop stop = eu_run_thread(thread, env, 1);
  if (const char* how = how_it_stopped(stop.kind)) {
    line.add("      {}{}{}", how, *stop.reason != '\0' ? ": " : "", stop.reason);
    line.write();
  } else {
    write_results(thread, inst);
  }
  return stop;
}

}  // namespace

Result<EuTraceChoice> eu_parse_trace(std::string_view text) {
  EuTraceChoice choice;
  const std::string_view kernel = take(text, ':');
  const std::string_view group = take(text, ':');
  if (kernel != "*") {
    const auto number = parse_number(kernel);
    if (!number) return fail(EINVAL, "the kernel to trace is a number, an address with 0x, or *");
    (kernel.starts_with("0x") ? choice.address : choice.number) = number;
  }
  if (group != "*") {
    choice.group = parse_group(group);
    if (!choice.group) return fail(EINVAL, "the group to trace is X, X,Y or X,Y,Z, or *");
  }
  if (text != "*") {
    const auto number = parse_number(text);
    if (!number || *number >= kEuGroupThreadsMax) return fail(EINVAL, "the thread to trace is 0 to 63, or *");
    choice.thread = static_cast<std::uint32_t>(*number);
  }
  return choice;
}

void eu_set_trace(const std::optional<EuTraceChoice>& choice) { chosen = choice; }

std::uint64_t eu_next_kernel_number() { return kernels_begun.fetch_add(1, std::memory_order_relaxed) + 1; }

bool eu_trace_wants(const EuWalker& walker, const EuThreadPlace& place) {
  if (!chosen) return false;
  const EuTraceChoice& c = *chosen;
  return (!c.number || *c.number == walker.number) && (!c.address || *c.address == walker.kernel.value()) &&
         (!c.group || *c.group == place.group) && (!c.thread || *c.thread == place.thread);
}

EuStop eu_trace_thread(EuThread& thread, EuEnv& env, std::uint64_t instructions_max) {
  if (thread.instructions == 0) write_start(thread);
  EuStop stop;
  for (std::uint64_t n = 0; n < instructions_max && stop.kind == EuStopKind::kBudget; ++n) {
    stop = trace_one(thread, env);
  }
  return stop;
}

}  // namespace softxe
