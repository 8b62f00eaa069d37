#include "host/patch/stub.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "host/patch/syscall_args.h"

namespace softxe::patch {
namespace {

constexpr std::int64_t kReach = std::numeric_limits<std::int32_t>::max();

Result<std::int32_t> rel32(HostVa next, HostVa target) {
  const auto d = static_cast<std::int64_t>(target.value() - next.value());
  if (d > kReach || d < -kReach) return fail(ERANGE, "target out of reach of a 32-bit jump");
  return static_cast<std::int32_t>(d);
}

/// Emits machine code for one stub. Jumps forward are patched when their label is placed.
class Emitter {
 public:
  Emitter(HostVa block, HostVa start) : block_(block), start_(start) {}

  void bytes(std::span<const std::uint8_t> b) {
    SX_ASSERT(used_ + b.size() <= code_.size());
    std::copy(b.begin(), b.end(), code_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += b.size();
  }
  void bytes(std::initializer_list<std::uint8_t> b) { bytes(std::span(b.begin(), b.size())); }

  /// lea -128(%rsp),%rsp; call *slot(%rip); lea 128(%rsp),%rsp: no flag is changed.
  void call(EntrySlot slot) {
    bytes({0x48, 0x8d, 0x64, 0x24, 0x80, 0xff, 0x15});
    const HostVa target = block_ + 8 * static_cast<std::uint64_t>(slot);
    immediate(*rel32(here() + 4, target));
    bytes({0x48, 0x8d, 0xa4, 0x24, 0x80, 0x00, 0x00, 0x00});
  }
  void syscall() { bytes({0x0f, 0x05}); }
  void decrement_rcx() { bytes({0x48, 0x8d, 0x49, 0xff}); }  // lea: no flag is changed

  /// jrcxz to a label placed later; returns what `place` wants.
  std::size_t jump_if_rcx_zero() {
    bytes({0xe3, 0x00});
    return used_;
  }
  void place(std::size_t label) {
    SX_ASSERT(used_ - label < 128);
    code_[label - 1] = static_cast<std::uint8_t>(used_ - label);
  }
  Status jump(HostVa target) {
    bytes({0xe9});
    SX_TRY(const std::int32_t d, rel32(here() + 4, target));
    immediate(d);
    return {};
  }
  const StubCode& code() const { return code_; }

 private:
  HostVa here() const { return start_ + used_; }
  void immediate(std::int32_t value) {
    std::array<std::uint8_t, 4> raw;
    std::memcpy(raw.data(), &value, 4);
    bytes(raw);
  }

  HostVa block_;
  HostVa start_;
  StubCode code_ = filled();
  std::size_t used_ = 0;

  static StubCode filled() {
    StubCode c;
    c.fill(0xcc);
    return c;
  }
};

/// fork-before answers in rcx: 0 plain call, 1 fork with hooks, 2 do not call (rax is the result).
Status emit_fork(Emitter& e, HostVa back) {
  e.call(EntrySlot::kForkBefore);
  const auto plain = e.jump_if_rcx_zero();
  e.decrement_rcx();
  const auto fork = e.jump_if_rcx_zero();
  SX_TRY_VOID(e.jump(back));
  e.place(fork);
  e.syscall();
  e.call(EntrySlot::kForkAfter);
  SX_TRY_VOID(e.jump(back));
  e.place(plain);
  e.syscall();
  return e.jump(back);
}

Status emit_call(Emitter& e, HostVa back) {
  e.call(EntrySlot::kCall);
  return e.jump(back);
}

/// classify answers in rcx: 0 not ours, 1 hooked call, 2 fork form.
Status emit_generic(Emitter& e, HostVa back) {
  e.call(EntrySlot::kClassify);
  const auto plain = e.jump_if_rcx_zero();
  e.decrement_rcx();
  const auto hooked = e.jump_if_rcx_zero();
  SX_TRY_VOID(emit_fork(e, back));
  e.place(hooked);
  SX_TRY_VOID(emit_call(e, back));
  e.place(plain);
  e.syscall();
  return e.jump(back);
}

/// The next mapping of /proc/self/maps as [start, end), or end of input.
class MapsReader {
 public:
  explicit MapsReader(int fd) : fd_(fd) {}
  bool next(std::uint64_t& start, std::uint64_t& end) { return number(start, '-') && number(end, ' ') && skip_line(); }

 private:
  int get() {
    if (at_ == have_) {
      const long n = raw_syscall(SYS_read, static_cast<unsigned long>(fd_), buffer_, sizeof buffer_);
      if (n <= 0) return -1;
      have_ = static_cast<std::size_t>(n);
      at_ = 0;
    }
    return static_cast<unsigned char>(buffer_[at_++]);
  }
  bool number(std::uint64_t& value, int stop) {
    value = 0;
    for (int c = get(); c != stop; c = get()) {
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<std::uint64_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        value = value * 16 + static_cast<std::uint64_t>(c - 'a' + 10);
      } else {
        return false;
      }
    }
    return true;
  }
  bool skip_line() {
    for (int c = get(); c != '\n'; c = get())
      if (c < 0) return false;
    return true;
  }

  int fd_;
  char buffer_[1024];
  std::size_t at_ = 0;
  std::size_t have_ = 0;
};

/// True when every byte of the block and of the text can jump to every byte of the other.
bool in_reach(HostRange text, std::uint64_t at, std::size_t bytes) {
  const std::uint64_t low = std::min(text.start().value(), at);
  const std::uint64_t high = std::max(text.end().value(), at + bytes);
  return high - low <= static_cast<std::uint64_t>(kReach);
}

long map_at(std::uint64_t at, std::size_t bytes) {
  const unsigned long flags = MAP_PRIVATE | MAP_ANONYMOUS | (at != 0 ? MAP_FIXED_NOREPLACE : 0);
  return raw_syscall(SYS_mmap, at, bytes, PROT_READ | PROT_EXEC, flags, ~0ul, 0);
}

void unmap(std::uint64_t at, std::size_t bytes) { raw_syscall(SYS_munmap, at, bytes); }

/// Tries the gap of the address space that ends at `gap_end`; 0 when it does not serve.
std::uint64_t try_gap(HostRange text, std::uint64_t gap_start, std::uint64_t gap_end, std::size_t bytes) {
  if (gap_end < gap_start + bytes) return 0;
  // As near to the library as the gap goes.
  const std::uint64_t at = gap_end <= text.start().value() ? gap_end - bytes : std::max(gap_start, text.end().value());
  if (at > gap_end - bytes || !in_reach(text, at, bytes)) return 0;
  const long got = map_at(at, bytes);
  if (errno_of(got) != 0) return 0;
  if (static_cast<std::uint64_t>(got) == at) return at;
  unmap(static_cast<std::uint64_t>(got), bytes);  // a kernel without MAP_FIXED_NOREPLACE
  return 0;
}

}  // namespace

Result<StubCode> make_stub(const Site& site, std::span<const std::uint8_t> site_bytes, HostVa block,
                           std::size_t index) {
  SX_ASSERT(site.refused == nullptr && site_bytes.size() == site.length_bytes);
  Emitter e(block, stub_address(block, index));
  e.bytes(site_bytes.first(site_bytes.size() - 2));  // all but the syscall itself
  const HostVa back = site.range().end();
  Status status;
  if (site.nr == kNrAtRunTime) {
    status = emit_generic(e, back);
  } else if (classify(site.nr) == CallClass::kFork) {
    status = emit_fork(e, back);
  } else {
    status = emit_call(e, back);
  }
  if (!status) return fail(status.error());
  return e.code();
}

HostVa back_of_call(HostVa return_address) {
  constexpr std::uint64_t kLeaBytes = 8;  // of Emitter::call(), then the jump
  std::int32_t d = 0;
  std::memcpy(&d, reinterpret_cast<const void*>(return_address.value() + kLeaBytes + 1), sizeof d);
  return HostVa(return_address.value() + kLeaBytes + kJumpBytes + static_cast<std::uint64_t>(std::int64_t{d}));
}

Result<std::array<std::uint8_t, kJumpBytes>> make_jump(HostVa from, HostVa to) {
  SX_TRY(const std::int32_t d, rel32(from + kJumpBytes, to));
  std::array<std::uint8_t, kJumpBytes> jump{0xe9};
  std::memcpy(jump.data() + 1, &d, 4);
  return jump;
}

Result<HostRange> map_near(HostRange text, std::size_t bytes) {
  // Where the kernel puts it by itself is nearly always near enough: libraries are mapped the same
  // way.
  const long got = map_at(0, bytes);
  if (errno_of(got) != 0) return fail(static_cast<int>(-got), "cannot map memory for stubs");
  const auto at = static_cast<std::uint64_t>(got);
  if (in_reach(text, at, bytes)) return HostRange::make(HostVa(at), bytes);
  unmap(at, bytes);
  return map_in_gap(text, bytes);
}

Result<HostRange> map_in_gap(HostRange text, std::size_t bytes) {
  const long fd =
      raw_syscall(SYS_openat, static_cast<unsigned long>(AT_FDCWD), "/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (errno_of(fd) != 0) return fail(static_cast<int>(-fd), "cannot read /proc/self/maps");
  MapsReader maps(static_cast<int>(fd));
  constexpr std::uint64_t kFirstGap = 0x10000;  // below it mmap_min_addr forbids
  constexpr std::uint64_t kUserEnd = 0x7ffffffff000;
  std::uint64_t previous_end = kFirstGap;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t found = 0;
  while (found == 0 && maps.next(start, end)) {
    found = try_gap(text, previous_end, std::min(start, kUserEnd), bytes);
    previous_end = std::max(previous_end, end);
  }
  if (found == 0 && previous_end < kUserEnd) found = try_gap(text, previous_end, kUserEnd, bytes);
  raw_syscall(SYS_close, static_cast<unsigned long>(fd));
  if (found == 0) return fail(ENOMEM, "no free memory within 2 GiB of the library");
  return HostRange::make(HostVa(found), bytes);
}

}  // namespace softxe::patch
