#pragma once

#include "kit.h"

void add_memory_rows(std::vector<kit::Row>& rows);
void add_image_rows(std::vector<kit::Row>& rows);
void add_launch_rows(std::vector<kit::Row>& rows);
void add_order_rows(std::vector<kit::Row>& rows);
void add_ban_rows(std::vector<kit::Row>& rows);
/// The process of one of these rows; its status.
int ban(const char* way);
