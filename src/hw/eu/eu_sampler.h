// Messages to the sampler (spec/eu-images.md 8, 9), and typed loads and stores (10).
//
//   eu_sampler.cc       payloads and answers, forms of the message
//   eu_sample.cc        filtering
//   eu_typed.cc         typed loads and stores
#pragma once

#include "hw/eu/eu_lsc.h"
#include "hw/eu/eu_sampler_message.h"

namespace softxe {

EuSendResult eu_send_sampler(const EuSendCall& call, const EuSamplerMessage& message);
EuSendResult eu_send_typed(const EuSendCall& call, const EuTypedMessage& message);

}  // namespace softxe
