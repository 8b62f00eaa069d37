// Check values of the VA-space workload for seed 1, from an implementation that is none of the
// contestants.
#pragma once

#include "bench/va_workload.h"

namespace softxe::bench {

struct Known {
  Workload workload;
  std::uint64_t n;
  Outcome outcome;
};

// clang-format off
inline constexpr Known kKnown[] = {
    // workload, N, {{ops hash, map, unmap, remap operations}, final count, state hash, check}
    {Workload::kMapSeq, 100, {{0x32c87e940f540000, 100, 0, 0}, 100, 0x63d86dd61bff763b, 0x0}},
    {Workload::kMapSeq, 1000, {{0xb7e51cf76af00000, 1000, 0, 0}, 1000, 0x34251b971c80739e, 0x0}},
    {Workload::kMapSeq, 100000, {{0x73c42cf607e00000, 100000, 0, 0}, 100000, 0x2ed2d1e2cd3f1cc9, 0x0}},
    {Workload::kMapRand, 100, {{0xf6974fc5de340000, 100, 0, 0}, 100, 0x680e40f618a56971, 0x0}},
    {Workload::kMapRand, 1000, {{0x3836d8b470740000, 1000, 0, 0}, 1000, 0xa36155f4a3caa24a, 0x0}},
    {Workload::kMapRand, 100000, {{0x302764e774d00000, 100000, 0, 0}, 100000, 0xc1e2cca50d1b772a, 0x0}},
    {Workload::kOverwrite, 100, {{0x959f9c50c51a0000, 400100, 478968, 628927}, 179, 0xb6ca13a63b881651, 0x0}},
    {Workload::kOverwrite, 1000, {{0x24d7adb9d391e000, 401000, 477647, 629782}, 1862, 0xd496c4b536a4e8f6, 0x0}},
    {Workload::kOverwrite, 100000, {{0xd050ffcc62f61000, 500000, 398468, 637590}, 181551, 0x522122d5fed5416f, 0x0}},
    {Workload::kSplit, 100, {{0x1cd4d811e5c30000, 400100, 600000, 200000}, 100, 0xc2b3366301059770, 0x0}},
    {Workload::kSplit, 1000, {{0xb5c0d44aa6830000, 401000, 600000, 200000}, 1000, 0xff509c833e9a08f0, 0x0}},
    {Workload::kSplit, 100000, {{0x448e4912c1c30000, 500000, 600000, 200000}, 100000, 0xce2cc33b867aa168, 0x0}},
    {Workload::kUnmapRand, 100, {{0x17c76434f49c0000, 100, 100, 0}, 0, 0xcbf29ce484222325, 0x0}},
    {Workload::kUnmapRand, 1000, {{0xb3fd1a57ee440000, 1000, 1000, 0}, 0, 0xcbf29ce484222325, 0x0}},
    {Workload::kUnmapRand, 100000, {{0x4c793b588cf00000, 100000, 100000, 0}, 0, 0xcbf29ce484222325, 0x0}},
    {Workload::kUnmapHole, 100, {{0xb0010c05dd680000, 100, 0, 100}, 200, 0xcd2ca9ca1c11aad1, 0x0}},
    {Workload::kUnmapHole, 1000, {{0x981f1dad51d00000, 1000, 0, 1000}, 2000, 0x3da8360399f3d0f9, 0x0}},
    {Workload::kUnmapHole, 100000, {{0xff00982503580000, 100000, 0, 100000}, 200000, 0x4d6507d348cca709, 0x0}},
    {Workload::kFind, 100, {{0x32c87e940f540000, 100, 0, 0}, 100, 0x63d86dd61bff763b, 0x5e7af3dec8f}},
    {Workload::kFind, 1000, {{0xb7e51cf76af00000, 1000, 0, 0}, 1000, 0x34251b971c80739e, 0x3b96293e4d55}},
    {Workload::kFind, 100000, {{0x73c42cf607e00000, 100000, 0, 0}, 100000, 0x2ed2d1e2cd3f1cc9, 0x174c8f0a085b47}},
    {Workload::kFindGap, 100, {{0x5bfa479c8ed00000, 100, 0, 0}, 100, 0xda9120d527ace79f, 0x2f422de784f}},
    {Workload::kFindGap, 1000, {{0x6e13418625780000, 1000, 0, 0}, 1000, 0x408ada7a2770ac79, 0x1dc75a0a9e98}},
    {Workload::kFindGap, 100000, {{0x29702dddae000000, 100000, 0, 0}, 100000, 0x96b0ee117e2bcb17, 0xba86769afb2b8}},
    {Workload::kIterate, 100, {{0x32c87e940f540000, 100, 0, 0}, 100, 0x63d86dd61bff763b, 0x3b9acca27040}},
    {Workload::kIterate, 1000, {{0xb7e51cf76af00000, 1000, 0, 0}, 1000, 0x34251b971c80739e, 0x2540be6aea540}},
    {Workload::kIterate, 100000, {{0x73c42cf607e00000, 100000, 0, 0}, 100000, 0x2ed2d1e2cd3f1cc9, 0xe8d4a512aea540}},
    {Workload::kIterateShuffled, 100, {{0x253c278c18a80000, 100, 0, 0}, 100, 0x63d86dd61bff763b, 0x3b9acca27040}},
    {Workload::kIterateShuffled, 1000, {{0x6f463ea4a1ac0000, 1000, 0, 0}, 1000, 0x34251b971c80739e, 0x2540be6aea540}},
    {Workload::kIterateShuffled, 100000, {{0xb814474b3cf80000, 100000, 0, 0}, 100000, 0x2ed2d1e2cd3f1cc9, 0xe8d4a512aea540}},
};
// clang-format on

}  // namespace softxe::bench
