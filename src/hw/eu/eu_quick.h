// Which messages have a quick way: what their descriptors say is known before they are carried out, and it is common.
#pragma once

#include "hw/eu/eu_fast.h"
#include "hw/eu/eu_record.h"

namespace softxe {

/// Decodes the message of `record`, a send that has everything else, and gives it a quick way where there is one.
void eu_quick_select(EuRecord& record, EuLevel level);

}  // namespace softxe
