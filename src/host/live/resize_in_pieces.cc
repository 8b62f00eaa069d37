#include "host/live/resize_in_pieces.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>

#include "base/raw_syscall.h"
#include "host/live/logical_mappings.h"

namespace softxe::live {
namespace {

constexpr std::size_t kPiecesMax = 256;

/// The kernel's mappings of a stretch, in order.
struct Pieces {
  std::array<std::uint64_t, kPiecesMax + 1> borders{};
  std::size_t count = 0;

  HostRange at(std::size_t i) const { return HostRange::between(HostVa(borders[i]), HostVa(borders[i + 1])); }
};

struct Request {
  HostRange from;
  std::uint64_t new_bytes;
  unsigned long flags;
  std::uint64_t target;  ///< with MREMAP_FIXED

  bool fixed() const { return (flags & MREMAP_FIXED) != 0; }
};

std::optional<Request> request_of(const ClientCall& call) {
  const auto from = HostRange::make(HostVa(call.word(0)), align_up(call.word(1), kPageSize));
  const Request request{from ? *from : HostRange::of(HostVa(0), kPageSize), align_up(call.word(2), kPageSize),
                        static_cast<unsigned long>(call.args[3]), call.word(4)};
  if (!from || !GranuleMap::addressable(*from) || request.new_bytes == 0 || request.new_bytes == from->size())
    return {};
  if ((request.flags & ~static_cast<unsigned long>(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0) return {};
  return request;
}

std::optional<Pieces> pieces_of(const LiveResources& res, HostRange range) {
  const auto whole = LogicalMappings(res).at(range.start(), range);
  if (!whole || whole->kind != CpuVma::Kind::kAnonPrivate || !whole->range.contains(range)) return {};
  Pieces pieces{.borders = {range.start().value()}, .count = 0};
  for (HostVa at = range.start(); at < range.end();) {
    const auto vma = res.maps.at_or_above(at);
    const auto part = vma ? vma->range.intersection(HostRange::between(at, range.end())) : std::nullopt;
    if (!part || part->start() != at || pieces.count == kPiecesMax) return {};
    at = part->end();
    pieces.borders[++pieces.count] = at.value();
  }
  if (pieces.count < 2) return {};
  return pieces;
}

long move_to(HostVa to, std::uint64_t bytes, HostRange from) {
  return raw_syscall(SYS_mremap, from.start().value(), from.size(), bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to.value());
}

/// All pieces, the last one as `last_bytes`. That one first: it is what there may be no room for.
long move_all(const Pieces& pieces, HostVa to, std::uint64_t last_bytes) {
  const HostVa from = pieces.at(0).start();
  const auto bytes_of = [&](std::size_t i) { return i + 1 == pieces.count ? last_bytes : pieces.at(i).size(); };
  const auto place_of = [&](std::size_t i) { return HostRange::of(to + (pieces.at(i).start() - from), bytes_of(i)); };
  for (std::size_t i = pieces.count; i-- > 0;) {
    const long moved = move_to(place_of(i).start(), bytes_of(i), pieces.at(i));
    if (errno_of(moved) == 0) continue;
    for (std::size_t back = i + 1; back < pieces.count; ++back)
      move_to(pieces.at(back).start(), pieces.at(back).size(), place_of(back));
    return moved;
  }
  return static_cast<long>(to.value());
}

long grow(const Pieces& pieces, const Request& request) {
  const HostRange last = pieces.at(pieces.count - 1);
  const std::uint64_t last_bytes = request.new_bytes - (last.start() - request.from.start());
  if (request.fixed()) return move_all(pieces, HostVa(request.target), last_bytes);
  const long stayed = raw_syscall(SYS_mremap, last.start().value(), last.size(), last_bytes, 0);
  if (errno_of(stayed) == 0) return static_cast<long>(request.from.start().value());
  if ((request.flags & MREMAP_MAYMOVE) == 0) return stayed;
  const long room =
      raw_syscall(SYS_mmap, nullptr, request.new_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (errno_of(room) != 0) return room;
  const long moved = move_all(pieces, HostVa(static_cast<std::uint64_t>(room)), last_bytes);
  if (errno_of(moved) != 0) raw_syscall(SYS_munmap, room, request.new_bytes);
  return moved;
}

/// Without its end it keeps its size, and that the kernel does.
long shrink(const ClientCall& call, const Request& request) {
  const std::uint64_t end = request.from.start().value() + request.new_bytes;
  const long cut = raw_syscall(SYS_munmap, end, request.from.size() - request.new_bytes);
  if (errno_of(cut) != 0) return cut;
  ClientCall rest = call;
  rest.args[1] = rest.args[2];
  return rest.make();
}

}  // namespace

std::optional<long> resize_in_pieces(const LiveResources& res, const ClientCall& call) {
  const auto request = request_of(call);
  if (!request) return {};
  if (request->fixed()) {
    const auto target = HostRange::make(HostVa(request->target), request->new_bytes);
    if (!target || target->intersects(request->from) || request->target % kPageSize != 0) return {};
  }
  const auto pieces = pieces_of(res, request->from);
  if (!pieces) return {};
  return request->new_bytes < request->from.size() ? shrink(call, *request) : grow(*pieces, *request);
}

}  // namespace softxe::live
