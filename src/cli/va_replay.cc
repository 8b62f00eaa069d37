#include "cli/va_replay.h"

#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "vm/va_apply.h"
#include "vm/va_ops.h"
#include "vm/va_slab.h"
#include "vm/va_space.h"

namespace softxe {
namespace {

// Keeps the order of the fields, so that a line with equal results is an equal line.
using Json = nlohmann::ordered_json;

struct ReplayNode : VaNode {
  using VaNode::VaNode;
  std::uint64_t attr = 0;
};

struct ReplayBacking : VaBacking {
  std::uint64_t id = 0;
};

std::uint64_t attr_of(const VaNode& node) { return static_cast<const ReplayNode&>(node).attr; }

struct ReplayPool {
  VaNode* create(const GpuRange& range, VaBacking* backing, std::uint64_t offset_bytes, const VaNode* origin) {
    ReplayNode* node = slab.make(range, backing, offset_bytes);
    if (node != nullptr && origin != nullptr) node->attr = attr_of(*origin);
    return node;
  }
  void retire(VaNode& node) { slab.drop(static_cast<ReplayNode&>(node)); }

  VaSlab<ReplayNode> slab;
};

/// The numbers of a request after its letter.
using Numbers = std::vector<std::uint64_t>;

/// The result of a request: one field of the line.
struct Outcome {
  const char* field;
  Json value;
};

Outcome refused(const Error& error) { return {"e", -error.err}; }

/// One trace: a space, its mappings and backings. Numbers in lines are in units, inside in bytes.
class Trace {
 public:
  static std::unique_ptr<Trace> make(std::uint64_t unit, const Numbers& vm) {
    const Result<GpuRange> managed = range_in(unit, vm[0], vm[1]);
    if (!managed) return nullptr;
    auto trace = std::make_unique<Trace>(unit, *managed);
    if (vm[3] == 0) return trace;
    const Result<GpuRange> window = range_in(unit, vm[2], vm[3]);
    if (!window || !trace->space_.set_reserved_window(*window)) return nullptr;
    return trace;
  }
  Trace(std::uint64_t unit, const GpuRange& managed) : unit_(unit), space_(managed) {}
  ~Trace() {
    std::vector<VaNode*> nodes = mappings();
    for (VaNode* node : nodes) {
      space_.remove(*node);
      if (node->backing() != nullptr) node->backing()->unlink(*node);
      pool_.retire(*node);
    }
  }

  /// None when there is no such request.
  std::optional<Outcome> request(const std::string& kind, const Numbers& n) {
    if (kind == "m" && n.size() == 4) return map(n);
    if (kind == "u" && n.size() == 2) return unmap(n);
    if (kind == "a" && n.size() == 3) return madvise(n);
    if (kind == "p" && n.size() == 2) return prefetch(n);
    if (kind == "b" && n.size() == 1) return carry_out(plan_unmap_backing(backing(n[0])));
    if (kind == "f" && n.size() == 2) return find(n);
    return std::nullopt;
  }

  Json state() const {
    Json list = Json::array();
    for (const VaNode* node : mappings()) {
      list.push_back({units(node->start().value()), units(node->range().size()), id_of(*node),
                      units(node->offset_bytes()), attr_of(*node)});
    }
    return list;
  }

  std::string hash() const {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (const VaNode* node : mappings()) {
      for (std::uint64_t x :
           {node->start().value(), node->range().size(), id_of(*node), node->offset_bytes(), attr_of(*node)}) {
        h = (h ^ x) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
      }
    }
    char text[9];
    std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(h ^ (h >> 32)));
    return text;
  }

 private:
  static Result<GpuRange> range_in(std::uint64_t unit, std::uint64_t start, std::uint64_t size) {
    std::uint64_t start_bytes = 0;
    std::uint64_t size_bytes = 0;
    if (__builtin_mul_overflow(start, unit, &start_bytes) || __builtin_mul_overflow(size, unit, &size_bytes)) {
      return fail(EINVAL, "interval does not fit into 64 bits");
    }
    return GpuRange::make(GpuVa(start_bytes), size_bytes);
  }
  Result<GpuRange> range(const Numbers& n) const { return range_in(unit_, n[0], n[1]); }
  std::uint64_t units(std::uint64_t bytes) const { return bytes / unit_; }
  static std::uint64_t id_of(const VaNode& node) {
    return node.backing() == nullptr ? 0 : static_cast<ReplayBacking*>(node.backing())->id;
  }
  ReplayBacking& backing(std::uint64_t id) {
    ReplayBacking& found = backings_[id];
    found.id = id;
    return found;
  }
  std::vector<VaNode*> mappings() const {
    std::vector<VaNode*> nodes;
    for (VaNode& node : space_) {
      if (!space_.is_reserved(node)) nodes.push_back(&node);
    }
    return nodes;
  }

  Outcome map(const Numbers& n) {
    const Result<GpuRange> where = range(n);
    if (!where) return refused(where.error());
    VaBacking* what = n[2] == 0 ? nullptr : &backing(n[2]);
    return carry_out(plan_map(space_, {*where, what, n[3] * unit_}));
  }
  Outcome unmap(const Numbers& n) {
    const Result<GpuRange> where = range(n);
    if (!where) return refused(where.error());
    return carry_out(plan_unmap(space_, *where));
  }
  Outcome madvise(const Numbers& n) {
    const Result<GpuRange> where = range(n);
    if (!where) return refused(where.error());
    Outcome outcome = carry_out(plan_madvise_split(space_, *where, SplitOffset::kZero));
    if (outcome.field[0] == 'e') return outcome;
    for (VaNode& node : space_.overlapping(*where)) {
      if (node.backing() == nullptr) static_cast<ReplayNode&>(node).attr = n[2];
    }
    return outcome;
  }
  Outcome prefetch(const Numbers& n) const {
    const Result<GpuRange> where = range(n);
    if (!where) return refused(where.error());
    const Result<VaOps> ops = plan_prefetch(space_, *where);
    return ops ? Outcome{"x", ops_json(*ops)} : refused(ops.error());
  }
  Outcome find(const Numbers& n) const {
    const Result<GpuRange> where = range(n);
    if (!where) return refused(where.error());
    const VaNode* node = space_.find_first(*where);
    return {"r", node == nullptr ? Json(0) : range_json(node->range())};
  }

  Outcome carry_out(const Result<VaOps>& ops) {
    if (!ops) return refused(ops.error());
    Json written = ops_json(*ops);  // before the nodes it names go away
    if (Status done = VaApply(space_, pool_).run(*ops); !done) return refused(done.error());
    return {"x", std::move(written)};
  }

  Json range_json(const GpuRange& r) const { return Json::array({units(r.start().value()), units(r.size())}); }
  Json piece_json(const std::optional<VaPiece>& piece) const {
    if (!piece) return 0;
    Json json = range_json(piece->range);
    json.push_back(units(piece->offset_bytes));
    return json;
  }
  Json named(const char* letter, const GpuRange& r) const {
    return Json::array({letter, units(r.start().value()), units(r.size())});
  }
  Json op_json(const VaOp& op) const {
    if (const auto* map = std::get_if<MapOp>(&op)) {
      Json json = named("m", map->range);
      json.push_back(map->backing == nullptr ? 0 : static_cast<ReplayBacking*>(map->backing)->id);
      json.push_back(units(map->offset_bytes));
      return json;
    }
    if (const auto* unmap = std::get_if<UnmapOp>(&op)) {
      Json json = named("u", unmap->node->range());
      json.push_back(unmap->keep == Keep::kYes ? 1 : 0);
      return json;
    }
    if (const auto* remap = std::get_if<RemapOp>(&op)) {
      Json json = named("r", remap->old);
      json.push_back(remap->keep == Keep::kYes ? 1 : 0);
      json.push_back(piece_json(remap->prev()));
      json.push_back(piece_json(remap->next()));
      return json;
    }
    return named("p", std::get<PrefetchOp>(op).node->range());
  }
  Json ops_json(const VaOps& ops) const {
    Json list = Json::array();
    for (const VaOp& op : ops) list.push_back(op_json(op));
    return list;
  }

  const std::uint64_t unit_;
  std::map<std::uint64_t, ReplayBacking> backings_;
  ReplayPool pool_;
  VaSpace space_;
};

std::optional<Numbers> numbers(const Json& array, std::size_t from) {
  if (!array.is_array()) return std::nullopt;
  Numbers result;
  for (std::size_t i = from; i < array.size(); ++i) {
    if (!array[i].is_number_unsigned()) return std::nullopt;
    result.push_back(array[i].get<std::uint64_t>());
  }
  return result;
}

std::string text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Goes through the lines of the files. A line's result is the same line with the engine's own
/// fields.
class Replayer {
 public:
  Replayer(ReplayMode mode, std::FILE* out) : mode_(mode), out_(out) {}

  void file(const std::string& name) {
    name_ = name;
    line_number_ = 0;
    trace_.reset();
    std::ifstream in(name);
    if (!in) return complain("cannot be opened");
    std::string line;
    while (std::getline(in, line)) {
      ++line_number_;
      if (!line.empty()) one_line(line);
    }
    if (in.bad()) complain("cannot be read");
  }

  int finish() {
    trace_.reset();
    if (mode_ == ReplayMode::kCheck) std::fprintf(out_, "%zu passed, %zu failed\n", passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  void one_line(const std::string& line) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) return complain("not a JSON object");
    if (json.contains("t")) return header(line, json);
    if (trace_ == nullptr) return complain("no header before this line");
    Json own;
    if (json.contains("end")) {
      own = json;
      own["end"] = trace_->state();
    } else if (!json.contains("q") || !request(json, own)) {
      return complain("malformed request");
    }
    if (mode_ == ReplayMode::kPrint) return print(text(own));
    if (own == json) {
      ++passed_;
      return;
    }
    complain("differs");
    std::fprintf(out_, "  expected %s\n  got      %s\n", line.c_str(), text(own).c_str());
  }

  void header(const std::string& line, const Json& json) {
    trace_.reset();
    const std::optional<Numbers> vm = json.contains("vm") ? numbers(json["vm"], 0) : std::nullopt;
    if (!vm || vm->size() != 4 || !json.contains("unit") || !json["unit"].is_number_unsigned()) {
      return complain("malformed header");
    }
    const auto unit = json["unit"].get<std::uint64_t>();
    if (unit != 0) trace_ = Trace::make(unit, *vm);
    if (trace_ == nullptr) return complain("impossible space in header");
    if (mode_ == ReplayMode::kPrint) print(line);
  }

  /// Carries the request out; `own` becomes the line with the engine's results.
  bool request(const Json& json, Json& own) {
    const Json& q = json["q"];
    const std::optional<Numbers> n = numbers(q, 1);
    if (!n || q.empty() || !q[0].is_string()) return false;
    std::optional<Outcome> outcome = trace_->request(q[0].get<std::string>(), *n);
    if (!outcome) return false;
    own["q"] = q;
    own[outcome->field] = std::move(outcome->value);
    own["h"] = trace_->hash();
    if (json.contains("s")) own["s"] = trace_->state();
    return true;
  }

  void print(const std::string& line) { std::fprintf(out_, "%s\n", line.c_str()); }
  void complain(const char* what) {
    ++failed_;
    std::fprintf(mode_ == ReplayMode::kCheck ? out_ : stderr, "%s:%zu: %s\n", name_.c_str(), line_number_, what);
  }

  const ReplayMode mode_;
  std::FILE* const out_;
  std::string name_;
  std::size_t line_number_ = 0;
  std::unique_ptr<Trace> trace_;
  std::size_t passed_ = 0;
  std::size_t failed_ = 0;
};

}  // namespace

int va_replay(std::span<const std::string> files, ReplayMode mode, std::FILE* out) {
  Replayer replayer(mode, out);
  for (const std::string& file : files) replayer.file(file);
  return replayer.finish();
}

}  // namespace softxe
