#include "hw/eu/eu_program.h"

#include <algorithm>
#include <cstring>

#include "hw/eu/eu_check.h"
#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_flow.h"
#include "hw/eu/eu_predecode.h"

namespace softxe {
namespace {

std::uint64_t key_of(std::uint64_t ip) { return ip >> kPageShift; }
unsigned granule_of(std::uint64_t ip) { return static_cast<unsigned>(ip % kPageSize / 8); }

void set_wake_point(EuRecord& record) {
  record.wake_point = true;
  record.simple = false;
}

}  // namespace

EuProgram::EuProgram(EuLevel level) : level_(level) {}
EuProgram::~EuProgram() = default;

void EuProgram::start(GpuVa instruction_base) {
  base_ = instruction_base;
  ++walker_;
  page_ = nullptr;
  touched_ = {};
  drop_if_full();
}

void EuProgram::drop_if_full() {
  if (used_ < kRecordsMax && pages_.size() < kPagesMax) return;
  ++walker_;
  page_ = nullptr;
  pages_.clear();
  blocks_.clear();
  used_ = 0;
  ++drops_;
}

const EuRecord* EuProgram::find(std::uint64_t ip, const Reader& reader) {
  ip &= reader.va_mask;
  if (ip % 8 != 0) return fail_with(EuStopKind::kIllegal, ip, "an instruction's address is no multiple of 8");
  if (page_ == nullptr || key_ != key_of(ip)) {
    reader.memory.rest();
    page_ = enter(key_of(ip), reader);
    if (page_ == nullptr) return nullptr;
  }
  EuRecord* record = page_->records[granule_of(ip)];
  return record != nullptr ? record : decode(ip, *page_, reader);
}

const EuRecord* EuProgram::link(const EuRecord& record, const Reader& reader) {
  const std::uint64_t ip = record.ip;
  const std::uint64_t next = ip + record.bytes;
  const EuRecord* found = find(next, reader);
  // Only within a page: entering another one is where its bytes are checked.
  if (found == nullptr || key_of(next) != key_of(ip)) return found;
  if (EuRecord* before = page_->records[granule_of(ip)]; before == &record) before->next = found;
  return found;
}

EuProgram::Page* EuProgram::enter(std::uint64_t key, const Reader& reader) {
  drop_if_full();
  Page& page = page_of(key);
  touched_ |= page.touched;
  key_ = key;
  const bool same_registers = page.large_grf == reader.thread.large_grf;
  if (page.checked == walker_ && same_registers) return &page;
  if (!same_registers) forget(page);
  page.large_grf = reader.thread.large_grf;
  if (!check(key, page, reader)) return nullptr;
  page.checked = walker_;
  return &page;
}

/// Compares what was decoded with what is there now, in pieces that contain decoded bytes.
bool EuProgram::check(std::uint64_t key, Page& page, const Reader& reader) {
  constexpr unsigned kPiece = 512;
  std::array<std::byte, kPiece> now;
  const std::uint64_t start = key << kPageShift;
  for (unsigned piece = 0; piece < kPageSize && page.decoded.any(); piece += kPiece) {
    bool any = false;
    for (unsigned g = piece / 8; g < (piece + kPiece) / 8; ++g) any |= page.decoded[g];
    if (!any) continue;
    if (!fetch(start + piece, reader, now)) return false;
    for (unsigned g = piece / 8; g < (piece + kPiece) / 8; ++g) {
      if (!page.decoded[g] || std::memcmp(&page.bytes[g * 8], &now[g * 8 - piece], 8) == 0) continue;
      forget(page);
      return true;
    }
  }
  if (!page.has_tail) return true;
  if (!fetch(start + kPageSize, reader, std::span(now).first(8))) return false;
  if (std::memcmp(page.tail.data(), now.data(), 8) != 0) forget(page);
  return true;
}

bool EuProgram::fetch(std::uint64_t ip, const Reader& reader, std::span<std::byte> to) {
  const GpuVa va(ip & reader.va_mask);
  const MemoryItems items{
      .va = std::span(&va, 1), .item_bytes = static_cast<std::uint32_t>(to.size()), .element_bytes = 8};
  const Status read = reader.memory.load(items, to.data());
  reader.memory.rest();  // what is decoded is kept in memory that the caller may have to wait for
  if (read) return true;
  fail_with(EuStopKind::kFault, ip, "an instruction could not be read");
  return false;
}

EuRecord* EuProgram::decode(std::uint64_t ip, Page& page, const Reader& reader) {
  std::array<std::byte, 16> bytes{};
  if (!fetch(ip, reader, std::span(bytes).first(8))) return nullptr;
  Result<EuInst> inst = eu_decode(std::span(bytes).first(8));
  if (!inst && inst.error().err == ENODATA) {
    if (!fetch(ip + 8, reader, std::span(bytes).last(8))) return nullptr;
    inst = eu_decode(bytes);
  }
  if (!inst) return fail_with(EuStopKind::kIllegal, ip, inst.error().why);
  if (const EuCheck wrong = eu_check(*inst, reader.thread); !wrong.ok()) return fail_with(wrong.kind, ip, wrong.reason);
  EuRecord* record = new_record();
  eu_predecode(*inst, ip, level_, *record);
  page.touched |= eu_touched_by(*inst);
  touched_ |= page.touched;
  if (page.wake[granule_of(ip)]) set_wake_point(*record);
  page.records[granule_of(ip)] = record;
  keep(ip, page, std::span(bytes).first(inst->bytes));
  mark(ip, *inst, reader.va_mask);
  return record;
}

void EuProgram::keep(std::uint64_t ip, Page& page, std::span<const std::byte> bytes) {
  const std::size_t here = std::min<std::size_t>(bytes.size(), kPageSize - ip % kPageSize);
  std::memcpy(&page.bytes[ip % kPageSize], bytes.data(), here);
  for (std::size_t at = 0; at < here; at += 8) page.decoded.set(granule_of(ip + at));
  if (here == bytes.size()) return;
  std::memcpy(page.tail.data(), bytes.data() + here, bytes.size() - here);
  page.has_tail = true;
}

/// Notes where channels may wait after `inst`, whether those instructions are decoded already or not.
void EuProgram::mark(std::uint64_t ip, const EuInst& inst, std::uint64_t va_mask) {
  const EuWakePoints points = eu_wake_points(inst);
  for (const std::int32_t offset : {points.first, points.second}) {
    if (offset == 0) continue;
    expect_waiting((ip + static_cast<std::uint64_t>(std::int64_t{offset})) & va_mask);
  }
}

void EuProgram::expect_waiting(std::uint64_t address) {
  if (address % 8 != 0) return;  // nobody gets there
  Page& page = page_of(key_of(address));
  page.wake.set(granule_of(address));
  if (EuRecord* record = page.records[granule_of(address)]; record != nullptr) set_wake_point(*record);
}

EuProgram::Page& EuProgram::page_of(std::uint64_t key) {
  std::unique_ptr<Page>& page = pages_[key];
  if (page == nullptr) page = std::make_unique<Page>();
  return *page;
}

EuRecord* EuProgram::new_record() {
  if (used_ % kBlock == 0) blocks_.push_back(std::make_unique<EuRecord[]>(kBlock));
  return &blocks_.back()[used_++ % kBlock];
}

/// Wake points stay: an instruction elsewhere may have named them, and one too many does no harm.
void EuProgram::forget(Page& page) {
  page.records.fill(nullptr);
  page.decoded.reset();
  page.has_tail = false;
}

std::nullptr_t EuProgram::fail_with(EuStopKind kind, std::uint64_t ip, const char* reason) {
  stop_ = {.kind = kind, .ip = GpuVa(ip), .reason = reason};
  return nullptr;
}

}  // namespace softxe
