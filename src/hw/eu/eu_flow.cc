#include "hw/eu/eu_flow.h"

#include <cstring>

#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

/// A branch under way. Offsets are relative to its own start.
struct Branch {
  EuThread& thread;
  const EuInst& inst;
  std::uint64_t ip;

  std::uint64_t next() const { return ip + inst.bytes; }
  std::uint64_t jip() const { return ip + static_cast<std::uint64_t>(std::int64_t{inst.jip}); }
  std::uint64_t uip() const { return ip + static_cast<std::uint64_t>(std::int64_t{inst.uip}); }

  /// Active channels of this instruction, as channels of the thread.
  std::uint32_t active() const { return thread.mask & eu_all_channels(inst.exec_size) << inst.channel_offset; }
  std::uint32_t taken() const { return active() & eu_predicated(thread, inst) << inst.channel_offset; }

  void park(std::uint32_t channels, std::uint64_t address) {
    thread.mask &= ~channels;
    thread.waiting.add(channels, address);
  }
  void go_on_or(std::uint64_t other) { thread.ip = thread.mask != 0 ? next() : other; }
};

void forward(Branch b) {
  b.park(b.taken(), b.uip());
  b.go_on_or(b.jip());
}

void divert(Branch b) {
  b.park(b.taken(), b.jip());
  b.go_on_or(b.jip());
}

void go_to(Branch b) {
  if (b.inst.function == 0) return forward(b);
  const std::uint32_t taken = b.taken();
  if (taken == 0) {
    b.park(b.active(), b.jip());
    b.thread.ip = b.next();
    return;
  }
  b.park(b.active() & ~taken, b.jip());
  b.thread.ip = b.uip();
}

void join(Branch b) {
  eu_wake(b.thread, b.ip);
  b.go_on_or(b.jip());
}

void if_else(Branch b) {
  b.park(b.active() & ~b.taken(), b.jip());
  b.go_on_or(b.jip());
}

void otherwise(Branch b) {
  b.park(b.active(), b.uip());
  eu_wake(b.thread, b.next());
  b.go_on_or(b.jip());
}

void loop_end(Branch b) {
  eu_wake(b.thread, b.ip);
  const std::uint32_t taken = b.taken();
  b.park(b.active() & ~taken, b.next());
  if (taken != 0) {
    b.thread.ip = b.jip();
    return;
  }
  eu_wake(b.thread, b.next());
  b.thread.ip = b.next();
}

std::uint32_t dword(const Branch& b, unsigned index) {
  const EuOperand& source = b.inst.src[0];
  std::uint32_t value = 0;
  const std::uint32_t at = eu_file(source, b.thread).offset + eu_first_byte(source) + index * 4;
  std::memcpy(&value, eu_bytes(b.thread, at), sizeof value);
  return value;
}

bool by_register(const EuInst& inst) {
  return (inst.src[0].file == EuFile::kGrf || inst.src[0].file == EuFile::kArf) && !inst.src[0].null();
}

/// Offset of a jump or call, from the instruction or from a register.
std::uint64_t offset(const Branch& b) {
  const std::int32_t bytes = by_register(b.inst) ? static_cast<std::int32_t>(dword(b, 0)) : b.inst.jip;
  return static_cast<std::uint64_t>(std::int64_t{bytes});
}

void jump(Branch b) {
  const bool taken = (eu_predicated(b.thread, b.inst) & 1) != 0;
  b.thread.ip = taken ? b.ip + offset(b) : b.next();
}

void call(Branch b, GpuVa base) {
  const bool absolute = b.inst.op == EuOp::kCalla;
  const std::uint64_t target = absolute ? base.value() + static_cast<std::uint32_t>(offset(b)) : b.ip + offset(b);
  const std::uint32_t kept[2] = {static_cast<std::uint32_t>(b.next() - base.value()), b.thread.call_mask};
  std::memcpy(eu_bytes(b.thread, eu_file(b.inst.dst, b.thread).offset + eu_first_byte(b.inst.dst)), kept, sizeof kept);
  b.thread.call_mask = b.thread.mask;
  b.thread.ip = target;
}

void ret(Branch b, GpuVa base) {
  b.thread.ip = base.value() + dword(b, 0);
  b.thread.call_mask = dword(b, 1);
}

}  // namespace

void eu_wake(EuThread& thread, std::uint64_t address) {
  thread.mask |= thread.waiting.take(thread.call_mask & ~thread.mask, address);
}

void eu_flow(EuThread& thread, const EuInst& inst, GpuVa instruction_base) {
  const Branch branch{thread, inst, thread.ip};
  switch (inst.op) {
    case EuOp::kJmpi: return jump(branch);
    case EuOp::kGoto: return go_to(branch);
    case EuOp::kJoin:
    case EuOp::kEndif: return join(branch);
    case EuOp::kIf: return if_else(branch);
    case EuOp::kElse: return otherwise(branch);
    case EuOp::kWhile: return loop_end(branch);
    case EuOp::kBreak:
    case EuOp::kCont:
    case EuOp::kHalt:
    case EuOp::kBrc: return forward(branch);
    case EuOp::kBrd: return divert(branch);
    case EuOp::kCall:
    case EuOp::kCalla: return call(branch, instruction_base);
    case EuOp::kRet: return ret(branch, instruction_base);
    default: SX_UNREACHABLE("eu_is_flow() has no other operations");
  }
}

EuWakePoints eu_wake_points(const EuInst& inst) {
  switch (inst.op) {
    case EuOp::kIf:
    case EuOp::kBrd: return {.first = inst.jip};
    case EuOp::kElse: return {.first = inst.bytes, .second = inst.uip};
    case EuOp::kWhile: return {.first = inst.bytes};
    case EuOp::kBreak:
    case EuOp::kCont:
    case EuOp::kHalt:
    case EuOp::kBrc: return {.first = inst.uip};
    case EuOp::kGoto: return {.first = inst.uip, .second = inst.jip};
    default: return {};
  }
}

}  // namespace softxe
