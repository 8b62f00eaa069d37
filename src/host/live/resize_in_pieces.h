// mremap() to another size over what is one mapping to the client and several to the kernel.
//
// Registration cuts mappings at blocks, and what is first touched on both sides of a cut never becomes one again. The
// kernel moves such a stretch as a whole but gives it no other size. So it is done piece by piece: the last one grows.
#pragma once

#include <optional>

#include "host/live/client_call.h"
#include "host/live/live_resources.h"

namespace softxe::live {

/// For an mremap() that the kernel has refused with EFAULT, its pages home. Nothing: it is no such stretch, and EFAULT
/// is the answer. A negative errno: everything is where it was. The mm lock is held.
std::optional<long> resize_in_pieces(const LiveResources& res, const ClientCall& call);

}  // namespace softxe::live
