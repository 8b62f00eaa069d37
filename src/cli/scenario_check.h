// Comparing what a scenario expects with what a world shows; empty text means it holds.
#pragma once

#include <string>
#include <vector>

#include "cli/scenario_ast.h"

namespace softxe::scenario {

std::string check_vmas(const std::vector<VmaPattern>& expected, const std::vector<VmaInfo>& actual,
                       std::uint64_t vm_size);
std::string check_attrs(const ExpectAttrs& expected, const std::vector<VmaInfo>& actual);
std::string check_ranges(const ExpectRanges& expected, const std::vector<RangeInfo>& actual);
std::string check_pte(const ExpectPtes& expected, std::uint64_t address, const PteInfo& actual);
std::string check_number(Relation relation, std::uint64_t expected, std::uint64_t actual);

/// As the files write them.
std::string show(const VmaInfo& vma);
std::string show(const RangeInfo& range);
std::string show(const PteInfo& pte);

}  // namespace softxe::scenario
