#pragma once

#include "kit.h"

void add_element_rows(std::vector<kit::Row>& rows);
void add_type_rows(std::vector<kit::Row>& rows);
void add_flow_rows(std::vector<kit::Row>& rows);
void add_group_rows(std::vector<kit::Row>& rows);
void add_atomic_rows(std::vector<kit::Row>& rows);
void add_dispatch_rows(std::vector<kit::Row>& rows);
void add_image_rows(std::vector<kit::Row>& rows);
void add_sample_rows(std::vector<kit::Row>& rows);
void add_yuv_rows(std::vector<kit::Row>& rows);
void add_image_memory_rows(std::vector<kit::Row>& rows);
void add_ban_rows(std::vector<kit::Row>& rows);
void add_matrix_rows(std::vector<kit::Row>& rows);
void add_lane_rows(std::vector<kit::Row>& rows);
void add_host_rows(std::vector<kit::Row>& rows);
/// The process of one of these rows; its status.
int ban(const char* way);
