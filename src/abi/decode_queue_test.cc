// Queues, jobs, waits and observation: one line per refusal row of spec/uapi.md 10-12 and 15.
#include "abi/decode_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kInstances = 0x6000;
using Instances = std::array<drm_xe_engine_class_instance, 9>;

TEST(Decode, ExecQueueCreateRows) {
  struct Row {
    const char* row;
    std::uint16_t width, placements;
    Instances instances;
    int err;
    std::uint32_t mask = 0;
  };
  const Row rows[] = {
      {"render", 1, 1, {{{0, 0, 0, 0}}}, 0, 1},
      {"pad is ignored", 1, 1, {{{0, 0, 0, 9}}}, 0, 1},
      {"2 zero width", 0, 1, {{{0, 0, 0, 0}}}, EINVAL},
      {"2 zero placements", 1, 0, {{{0, 0, 0, 0}}}, EINVAL},
      {"2 ten", 2, 5, {{{2, 0, 1, 0}}}, EINVAL},
      {"4 gt", 1, 1, {{{0, 0, 2, 0}}}, EINVAL},
      {"4 gt 0xffff", 1, 1, {{{0, 0, 0xffff, 0}}}, EINVAL},
      {"4 gt 256 acts as 0", 1, 1, {{{0, 0, 256, 0}}}, 0, 1},
      {"5 bind", 1, 1, {{{5, 0, 0, 0}}}, 0},
      {"5 bind gt1", 1, 1, {{{5, 0, 1, 0}}}, 0},
      {"5 bind width", 2, 1, {{{5, 0, 0, 0}, {5, 0, 0, 0}}}, EINVAL},
      {"5 bind placements", 1, 2, {{{5, 0, 0, 0}, {5, 0, 0, 0}}}, EINVAL},
      {"5 bind instance", 1, 1, {{{5, 1, 0, 0}}}, EINVAL},
      {"6 instance", 1, 1, {{{0, 1, 0, 0}}}, EINVAL},
      {"6 class", 1, 1, {{{6, 0, 0, 0}}}, EINVAL},
      {"6 wrong gt", 1, 1, {{{0, 0, 1, 0}}}, EINVAL},
      {"6 classes differ", 1, 2, {{{0, 0, 0, 0}, {4, 0, 0, 0}}}, EINVAL},
      {"6 virtual", 1, 2, {{{2, 0, 1, 0}, {2, 1, 1, 0}}}, 0, 3},
      {"6 parallel", 2, 1, {{{2, 0, 1, 0}, {2, 1, 1, 0}}}, 0, 1},
      {"6 parallel reversed", 2, 1, {{{2, 1, 1, 0}, {2, 0, 1, 0}}}, EINVAL},
      {"6 parallel same", 2, 1, {{{2, 0, 1, 0}, {2, 0, 1, 0}}}, EINVAL},
  };
  for (const Row& row : rows) {
    FakeUserMemory memory;
    memory.put(kInstances, row.instances);
    drm_xe_exec_queue_create c{};
    c.width = row.width;
    c.num_placements = row.placements;
    c.instances = kInstances;
    c.vm_id = 4;
    auto request = decode_exec_queue_create(bytes_of(c), kBmg, memory);
    EXPECT_EQ(err_of(request), row.err) << row.row;
    if (!request) continue;
    const auto* engine = std::get_if<EnginePlacement>(&request->placement);
    EXPECT_EQ(engine != nullptr ? engine->logical_mask : 0u, row.mask) << row.row;
    EXPECT_EQ(request->vm, VmId{4});
  }
}

TEST(Decode, ExecQueueCreateFieldsAndParallelCopy) {
  FakeUserMemory memory;
  memory.put(kInstances, Instances{{{1, 0, 0, 0}, {1, 1, 0, 0}}});
  drm_xe_exec_queue_create c{};
  c.width = 2;
  c.num_placements = 1;
  c.instances = kInstances;
  EXPECT_EQ(err_of(decode_exec_queue_create(bytes_of(c), kPvc, memory)), EOPNOTSUPP) << "row 7";
  c.width = 1;
  EXPECT_EQ(err_of(decode_exec_queue_create(bytes_of(c), kPvc, memory)), 0);
  c.instances = kBadAddress;
  EXPECT_EQ(err_of(decode_exec_queue_create(bytes_of(c), kPvc, memory)), EFAULT) << "row 3";
  c.flags = 2;
  EXPECT_EQ(err_of(decode_exec_queue_create(bytes_of(c), kPvc, memory)), EINVAL) << "row 1";
  c.flags = 1;
  c.reserved[0] = 1;
  EXPECT_EQ(err_of(decode_exec_queue_create(bytes_of(c), kPvc, memory)), EINVAL) << "row 1";
}

class FakeQueueContext final : public QueueExtensionContext {
 public:
  Privilege privilege() const override { return nice; }
  TimesliceLimits timeslice_limits() const override { return {.min_us = 10, .max_us = 1000}; }
  Status join_group(QueueId primary) override {
    if (primary != QueueId{3}) return fail(ENOENT, "test: unknown queue");
    return {};
  }
  Privilege nice = Privilege::kNone;
};

TEST(Decode, QueueExtensionRows) {
  constexpr DecodeLimits grouped{.profile = &kProfileNvlp};
  constexpr std::uint16_t kMedia = 1;  ///< a GT
  struct Link {
    std::uint32_t property;
    std::uint64_t value;
  };
  struct Row {
    const char* row;
    std::vector<Link> chain;
    int err;
    const DecodeLimits* limits = &kBmg;
    EngineClass cls = EngineClass::kCopy;
    std::uint16_t width = 1;
    Privilege nice = Privilege::kNone;
    std::uint16_t gt = 0;
  };
  constexpr std::uint64_t kCreate = 1ull << 63;
  constexpr std::uint64_t kImage = 0x20000;
  const auto copy = EngineClass::kCopy;
  const Row rows[] = {
      {"none", {}, 0},
      {"unknown", {{7, 0}}, EINVAL},
      {"0 normal", {{0, 1}}, 0},
      {"0 too high", {{0, 3}}, EINVAL},
      {"0 high", {{0, 2}}, EPERM},
      {"0 high with privilege", {{0, 2}}, 0, &kBmg, copy, 1, Privilege::kSysNice},
      {"1 low", {{1, 9}}, EINVAL},
      {"1 high", {{1, 1001}}, EINVAL},
      {"1 fine", {{1, 10}}, 0},
      {"2 none", {{2, 0}}, 0},
      {"2 HWDRM", {{2, 1}}, ENODEV},
      {"2 other", {{2, 2}}, EINVAL},
      {"3", {{3, kImage}}, 0},
      {"3 unreadable", {{3, kBadAddress}}, EFAULT},
      {"3 twice", {{3, kImage}, {3, kImage}}, EINVAL},
      {"4 not here", {{4, kCreate}}, ENODEV},
      {"4 create", {{4, kCreate}}, 0, &grouped},
      {"4 create bits", {{4, kCreate | 1}}, EINVAL, &grouped},
      {"4 twice", {{4, kCreate}, {4, kCreate}}, EINVAL, &grouped},
      {"4.1 compute", {{4, kCreate}}, 0, &grouped, EngineClass::kCompute},
      {"4.1 render", {{4, kCreate}}, ENODEV, &grouped, EngineClass::kRender},
      {"4.1 video", {{4, kCreate}}, ENODEV, &grouped, EngineClass::kVideoDecode},
      {"4.1 a class with groups on a media GT", {{4, kCreate}}, ENODEV, &grouped, copy, 1, Privilege::kNone, kMedia},
      {"4.1 bind queue without groups", {{4, kCreate}}, ENODEV, &kBmg, EngineClass::kVmBind},
      {"4.3 bind queue", {{4, kCreate}}, EINVAL, &grouped, EngineClass::kVmBind},
      {"4.4 parallel", {{4, kCreate}}, EINVAL, &grouped, copy, 2},
      {"4.5 create, then join", {{4, kCreate}, {4, 3}}, EINVAL, &grouped},
      {"4.5 before 4.6", {{4, kCreate}, {4, kCreate | 1}}, EINVAL, &grouped},
      {"4.6 keep-active", {{4, kCreate | 1ull << 62}}, EINVAL, &grouped},
      {"4.7 before 4.8", {{4, 1ull << 32 | 9}}, EINVAL, &grouped},
      {"4 join", {{4, 3}}, 0, &grouped},
      {"4 join unknown", {{4, 9}}, ENOENT, &grouped},
      {"4 join bits", {{4, 1ull << 32 | 3}}, EINVAL, &grouped},
      {"priority then join", {{0, 1}, {4, 3}}, 0, &grouped},
      {"join then priority", {{4, 3}, {0, 1}}, EINVAL, &grouped},
      {"priority, join, group priority", {{0, 1}, {4, 3}, {5, 1}}, EINVAL, &grouped},
      {"join, group priority", {{4, 3}, {5, 2}}, 0, &grouped},
      {"primary takes all", {{0, 1}, {4, kCreate}, {1, 10}, {5, 0}}, 0, &grouped},
      {"group priority first", {{5, 2}, {4, 3}}, 0, &grouped},
      {"5 alone", {{5, 1}}, EINVAL, &grouped},
      {"5 where there are no groups", {{5, 1}}, EINVAL},
      {"5 too high before the chain's end", {{5, 3}}, EINVAL, &grouped},
      {"5 too high", {{4, kCreate}, {5, 3}}, EINVAL, &grouped},
      {"6 copy", {{6, 1}}, EOPNOTSUPP},
      {"6 render", {{6, 1}}, 0, &kBmg, EngineClass::kRender},
  };
  for (const Row& row : rows) {
    FakeUserMemory memory;
    memory.put(kImage, std::array<std::byte, 4096>{});
    constexpr std::uint64_t kChain = 0x50000;
    for (std::size_t i = 0; i < row.chain.size(); ++i) {
      const std::uint64_t next = i + 1 < row.chain.size() ? kChain + (i + 1) * 0x100 : 0;
      memory.put(kChain + i * 0x100, property(row.chain[i].property, row.chain[i].value, next));
    }
    ExecQueueCreateRequest request;
    request.width = row.width;
    request.gt = row.gt;
    request.placement = BindQueuePlacement{};
    if (row.cls != EngineClass::kVmBind) request.placement = EnginePlacement{row.cls, 1};
    request.extensions = HostVa(row.chain.empty() ? 0 : kChain);
    FakeQueueContext context;
    context.nice = row.nice;
    EXPECT_EQ(err_of(decode_queue_extensions(request, *row.limits, memory, context)), row.err) << row.row;
  }
}

TEST(Decode, QueueProperties) {
  run_cases<drm_xe_exec_queue_get_property>(
      {},
      {{"reserved", EINVAL, [](auto& g) { g.reserved[0] = 1; }},
       {"extensions ignored", 0, [](auto& g) { g.extensions = 1; }},
       {"property waits for the lookup", 0, [](auto& g) { g.property = 9; }}},
      [](auto& raw, auto&) { return err_of(decode_exec_queue_get_property(bytes_of(raw))); });
  EXPECT_EQ(err_of(check_queue_get_property({QueueId{1}, 0, 0})), 0);
  EXPECT_EQ(err_of(check_queue_get_property({QueueId{1}, 1, 0})), EINVAL);
  drm_xe_exec_queue_set_property valid{};
  valid.property = 5;
  run_cases<drm_xe_exec_queue_set_property>(
      valid,
      {{"reserved", EINVAL, [](auto& g) { g.reserved[0] = 1; }},
       {"property", EINVAL, [](auto& g) { g.property = 0; }},
       {"value waits for the lookup", 0, [](auto& g) { g.value = 9; }}},
      [](auto& raw, auto&) { return err_of(decode_exec_queue_set_property(bytes_of(raw))); });
  EXPECT_EQ(err_of(check_queue_set_property({QueueId{1}, 5, 3})), EINVAL);
  EXPECT_EQ(*check_queue_set_property({QueueId{1}, 5, 2}), QueuePriority::kHigh);
}

TEST(Decode, ExecRows) {
  run_cases<drm_xe_exec>({},
                         {{"extensions", EINVAL, [](auto& e) { e.extensions = 1; }},
                          {"pad", EINVAL, [](auto& e) { e.pad[0] = 1; }},
                          {"reserved", EINVAL, [](auto& e) { e.reserved[1] = 1; }},
                          {"syncs", EINVAL, [](auto& e) { e.num_syncs = 1025; }},
                          {"syncs limit", 0, [](auto& e) { e.num_syncs = 1024; }}},
                         [](auto& raw, auto&) { return err_of(decode_exec(bytes_of(raw))); });
  ExecRequest request;
  EXPECT_EQ(err_of(check_exec_width(request, 2)), 0);
  request.num_batches = 1;
  EXPECT_EQ(err_of(check_exec_width(request, 2)), EINVAL);
  request.num_batches = 2;
  EXPECT_EQ(err_of(check_exec_width(request, 2)), 0);

  FakeUserMemory memory;
  memory.put(0x7000, std::array<std::uint64_t, 2>{0xffff800000001000, 0x2000});
  request.address = 0x7000;
  auto addresses = read_batch_addresses(request, kBmg, memory);
  ASSERT_TRUE(addresses);
  EXPECT_EQ(*addresses, (std::vector<GpuVa>{GpuVa(0x800000001000), GpuVa(0x2000)}));
  request.address = kBadAddress;
  EXPECT_EQ(err_of(read_batch_addresses(request, kBmg, memory)), EFAULT);
  request.num_batches = 1;
  EXPECT_EQ(read_batch_addresses(request, kBmg, memory)->size(), 1u);
}

TEST(Decode, WaitUserFenceRowsAndComparisons) {
  run_cases<drm_xe_wait_user_fence>({},
                                    {{"extensions", EINVAL, [](auto& w) { w.extensions = 1; }},
                                     {"pad", EINVAL, [](auto& w) { w.pad = 1; }},
                                     {"pad2", EINVAL, [](auto& w) { w.pad2 = 1; }},
                                     {"reserved", EINVAL, [](auto& w) { w.reserved[0] = 1; }},
                                     {"flag", EINVAL, [](auto& w) { w.flags = 2; }},
                                     {"absolute", 0, [](auto& w) { w.flags = 1; }},
                                     {"op", EINVAL, [](auto& w) { w.op = 6; }},
                                     {"aligned", EINVAL, [](auto& w) { w.addr = 4; }}},
                                    [](auto& raw, auto&) { return err_of(decode_wait_user_fence(bytes_of(raw))); });
  struct Row {
    CompareOp op;
    std::uint64_t word;
    bool holds;
  };
  using enum CompareOp;
  const Row rows[] = {{kEq, 0x105, true}, {kEq, 6, false},  {kNeq, 6, true},  {kNeq, 5, false}, {kGt, 6, true},
                      {kGt, 5, false},    {kGte, 5, true},  {kGte, 4, false}, {kLt, 4, true},   {kLt, 5, false},
                      {kLte, 5, true},    {kLte, 6, false}, {kGt, 0xff, true}};
  WaitUserFenceRequest request;
  request.value = 0xf05;
  request.mask = 0xff;
  for (const Row& row : rows) {
    request.op = row.op;
    EXPECT_EQ(user_fence_condition(request, row.word), row.holds) << static_cast<int>(row.op);
  }
}

TEST(Decode, ObservationRows) {
  run_cases<drm_xe_observation_param>(
      {},
      {{"extensions", EINVAL, [](auto& o) { o.extensions = 1; }},
       {"type", EINVAL, [](auto& o) { o.observation_type = 2; }},
       {"wide type", EINVAL, [](auto& o) { o.observation_type = 1ull << 32; }},
       {"OA remove", 0, [](auto& o) { o.observation_op = 2; }},
       {"OA op", EINVAL, [](auto& o) { o.observation_op = 3; }},
       {"EU stall", 0, [](auto& o) { o.observation_type = 1; }},
       {"EU stall op", EINVAL, [](auto& o) { o.observation_type = 1, o.observation_op = 1; }}},
      [](auto& raw, auto&) { return err_of(decode_observation(bytes_of(raw))); });
}

}  // namespace
}  // namespace softxe
