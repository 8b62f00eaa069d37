#include "host/patch/patcher.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "base/step.h"
#include "host/patch/code_writer.h"
#include "host/patch/elf_image.h"
#include "host/patch/entry.h"
#include "host/patch/selfcheck.h"
#include "host/patch/stub.h"

namespace softxe::patch {
namespace {

/// What install() did and uninstall() takes back. Written by those two only, single-threaded.
struct State {
  PatchReport report;
  bool installed = false;
  std::array<std::array<std::uint8_t, kJumpBytes>, kMaxSites> original{};
  std::array<std::optional<HostRange>, kMaxBlocks> blocks;
};
State g_state;

constexpr const char* kSonames[kMaxBlocks] = {"libc.so.6", "ld-linux-x86-64.so.2"};
// Without one of these in libc, hooks would miss ordinary malloc and free.
constexpr int kEssential[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_brk, SYS_mremap, SYS_madvise};

/// A libc page fault per 64 KiB costs more than the search itself; one call maps all of it.
void populate(HostRange text) {
  constexpr unsigned long kMadvPopulateRead = 22;
  const std::uint64_t start = align_down(text.start().value(), kPageSize);
  const std::uint64_t end = align_up(text.end().value(), kPageSize);
  raw_syscall(SYS_madvise, start, end - start, kMadvPopulateRead);
}

Status find_in(Library library, Depth depth, PatchReport& report, HostRange& text) {
  SX_TRY(const LoadedImage image, LoadedImage::find(kSonames[static_cast<std::size_t>(library)]));
  text = image.text();
  populate(text);
  SiteList sites;
  find_sites({image.text().start(), image.text_bytes()}, image, sites);
  if (depth == Depth::kLibrary) refuse_branch_targets(image, sites);
  if (sites.overflowed || report.site_count + sites.count > kMaxSites)
    return fail(E2BIG, "more system call sites than any known glibc has");
  for (const Site& site : sites.span()) {
    const auto function = image.enclosing(site.range());
    const bool first = function && function->start() == site.start;
    report.sites[report.site_count++] = {site, library, image.file_address(site.start), first};
  }
  return {};
}

std::span<const std::uint8_t> bytes_at(HostVa a, std::size_t n) {
  return {reinterpret_cast<const std::uint8_t*>(a.value()), n};
}

/// Maps and fills the stubs of one library. `jumps` gets the new first bytes of each site.
Status write_stubs(const CodeWriter& writer, Library library, HostRange text, PatchReport& report,
                   std::array<std::array<std::uint8_t, kJumpBytes>, kMaxSites>& jumps) {
  auto wanted = [&](std::size_t i) {
    return report.sites[i].library == library && report.sites[i].site.refused == nullptr;
  };
  std::size_t stubs = 0;
  for (std::size_t i = 0; i < report.site_count; ++i) stubs += wanted(i) ? 1 : 0;
  if (stubs == 0) return {};
  SX_TRY_VOID(SX_STEP("host.patch.map_stubs"));
  SX_TRY(const HostRange memory, map_near(text, stub_block_bytes(stubs)));
  const auto which = static_cast<std::size_t>(library);
  g_state.blocks[which] = memory;

  std::array<std::uint64_t, static_cast<std::size_t>(EntrySlot::kCount)> slots{};
  for (std::size_t s = 0; s < slots.size(); ++s) slots[s] = entry_address(static_cast<EntrySlot>(s)).value();
  SX_TRY_VOID(writer.write(memory.start(), {reinterpret_cast<const std::uint8_t*>(slots.data()), sizeof slots}));
  StubBlock block{memory.start().value(), memory.end().value(), {}};
  std::size_t index = 0;
  for (std::size_t i = 0; i < report.site_count; ++i) {
    if (!wanted(i)) continue;
    const Site& site = report.sites[i].site;
    const auto original = bytes_at(site.start, site.length_bytes);
    SX_TRY(const StubCode code, make_stub(site, original, memory.start(), index));
    const HostVa stub = stub_address(memory.start(), index);
    SX_TRY_VOID(writer.write(stub, code));
    SX_TRY(jumps[i], make_jump(site.start, stub));
    block.site_of_stub[index++] = static_cast<std::uint8_t>(i);
  }
  set_stub_block(which, block);
  return {};
}

Status restore_sites(const CodeWriter& writer) {
  Status status;
  for (std::size_t i = 0; i < g_state.report.site_count; ++i) {
    SiteReport& site = g_state.report.sites[i];
    if (!site.patched) continue;
    if (auto s = writer.write(site.site.start, g_state.original[i]); !s) {
      status = s;
    } else {
      site.patched = false;
    }
  }
  serialize_core();
  return status;
}

void free_stubs() {
  for (auto& block : g_state.blocks) {
    if (block) raw_syscall(SYS_munmap, block->start().value(), block->size());
    block.reset();
  }
}

/// Everything that may fail before libc changes, then the jumps; a failure takes all jumps back.
Status write_code(const std::array<HostRange, kMaxBlocks>& texts, PatchReport& report) {
  SX_TRY_VOID(SX_STEP("host.patch.open_writer"));
  SX_TRY(const CodeWriter writer, CodeWriter::open());
  std::array<std::array<std::uint8_t, kJumpBytes>, kMaxSites> jumps{};
  for (std::size_t i = 0; i < kMaxBlocks; ++i)
    SX_TRY_VOID(write_stubs(writer, static_cast<Library>(i), texts[i], report, jumps));
  auto write_jumps = [&]() -> Status {
    for (std::size_t i = 0; i < report.site_count; ++i) {
      SiteReport& site = report.sites[i];
      if (site.site.refused != nullptr) continue;
      const auto now = bytes_at(site.site.start, kJumpBytes);
      std::copy(now.begin(), now.end(), g_state.original[i].begin());
      SX_TRY_VOID(SX_STEP("host.patch.write_jump"));
      site.patched = true;  // also when the write fails half way: it must be taken back
      SX_TRY_VOID(writer.write(site.site.start, jumps[i]));
    }
    return {};
  };
  const Status status = write_jumps();
  serialize_core();
  if (!status) static_cast<void>(restore_sites(writer));
  return status;
}

Status check_essential(const PatchReport& report) {
  for (const int nr : kEssential) {
    const bool there = std::any_of(report.span().begin(), report.span().end(), [&](auto& s) {
      return s.library == Library::kLibc && s.site.nr == nr && s.site.refused == nullptr;
    });
    if (!there) return fail(ENOENT, "libc has no patchable site for an essential call");
  }
  return {};
}

Status find_all(InstallOptions options, PatchReport& report, std::array<HostRange, kMaxBlocks>& texts) {
  SX_TRY(const std::uint64_t threads, thread_count());
  if (threads != 1) return fail(EBUSY, "other threads run already");
  SX_TRY_VOID(find_in(Library::kLibc, options.depth, report, texts[0]));
  SX_TRY_VOID(find_in(Library::kLoader, options.depth, report, texts[1]));
  return check_essential(report);
}

void fall_back(const Error& error) {
  g_state.report.rung = Rung::kEventsOnly;
  g_state.report.why = error.why;
  free_stubs();
  g_state.installed = false;
}

}  // namespace

std::size_t PatchReport::patched(Library library, long nr) const {
  const auto all = span();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const SiteReport& s) {
    return s.patched && s.library == library && s.site.nr == nr;
  }));
}

std::size_t PatchReport::patched() const {
  const auto all = span();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const SiteReport& s) { return s.patched; }));
}

std::size_t PatchReport::refused() const {
  const auto all = span();
  return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const SiteReport& s) {
    return s.site.refused != nullptr && classify(s.site.nr) != CallClass::kLeftAlone;
  }));
}

const PatchReport& install(const HookTable& hooks, InstallOptions options) {
  PatchReport& report = g_state.report;
  if (g_state.installed) return report;
  report = PatchReport{};
  const SteadyClock clock;
  const std::uint64_t t0 = clock.now_ns();
  const HostRange nowhere = HostRange::of(HostVa(kPageSize), kPageSize);
  std::array<HostRange, kMaxBlocks> texts{nowhere, nowhere};
  Status status = find_all(options, report, texts);
  const std::uint64_t t1 = clock.now_ns();
  report.find_ns = t1 - t0;
  if (status) status = write_code(texts, report);
  const std::uint64_t t2 = clock.now_ns();
  report.write_ns = t2 - t1;
  if (!status) {
    fall_back(status.error());
    return report;
  }
  g_state.installed = true;
  choose_vector_save();
  set_hooks(hooks);
  report.rung = report.refused() == 0 ? Rung::kPatched : Rung::kPartial;
  report.why = report.refused() == 0 ? "" : "some sites are refused";
  if (options.check == Check::kSelfTest) {
    const bool ok = self_test();
    report.test_ns = clock.now_ns() - t2;
    if (!ok) {
      static_cast<void>(uninstall());
      report.why = "self-test: a patched call did not reach its hook";
    }
  }
  return report;
}

const PatchReport& report() { return g_state.report; }

bool self_test() {
  if (!g_state.installed) return false;
  return run_self_test(g_state.report);
}

Status uninstall() {
  if (!g_state.installed) return fail(ENOENT, "not installed");
  deactivate();
  SX_TRY(const CodeWriter writer, CodeWriter::open());
  SX_TRY_VOID(restore_sites(writer));
  fall_back(Error{0, "uninstalled"});
  return {};
}

}  // namespace softxe::patch
