#include <gtest/gtest.h>
#include "host/patch/patcher.h"
namespace softxe::patch { namespace {
}}
