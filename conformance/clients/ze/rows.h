#pragma once

#include "kit.h"

void add_memory_rows(std::vector<kit::Row>& rows);
void add_launch_rows(std::vector<kit::Row>& rows);
void add_order_rows(std::vector<kit::Row>& rows);
