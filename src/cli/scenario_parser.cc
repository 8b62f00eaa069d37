#include "cli/scenario_parser.h"

#include <fmt/format.h>
#include <cerrno>
#include <fstream>
#include <sstream>

namespace softxe::scenario {

tl::expected<ScenarioFile, ParseError> parse_scenario(std::string_view path, std::string_view text) {
  return detail::Parser(path, text).file();
}

tl::expected<ScenarioFile, ParseError> parse_scenario_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return tl::unexpected(ParseError{fmt::format("{}: cannot be read", path)});
  std::stringstream text;
  text << in.rdbuf();
  return parse_scenario(path, text.str());
}

namespace detail {

// --- reading ----------------------------------------------------------------------------------------

void Parser::error_at(int line, const std::string& what) {
  if (!ok()) return;
  // At the end of a line the mistake is on the line before the token that follows.
  error_ = fmt::format("{}:{}: {}", path_, line, what);
}

void Parser::skip_blank_lines() {
  while (!at_end() && (peek().end_of_line() || peek().text == ";")) ++at_;
}

std::string Parser::word(const char* what) {
  if (!ok()) return {};
  if (line_done()) {
    error(fmt::format("{} is missing", what));
    return {};
  }
  return tokens_[at_++].text;
}

bool Parser::accept(std::string_view text) {
  if (!ok() || peek().text != text) return false;
  if (!at_end()) ++at_;
  return true;
}

void Parser::require(std::string_view text) {
  if (accept(text)) return;
  std::string found = peek().end_of_line() ? "the line ends" : fmt::format("'{}' stands", peek().text);
  error(fmt::format("'{}' is expected where {}", text, found));
}

std::uint64_t Parser::number_from(std::string_view text, const char* what) {
  auto value = parse_number(text);
  if (!value) error(fmt::format("{} is not a number: '{}'", what, text));
  return value.value_or(0);
}

std::uint64_t Parser::number(const char* what) {
  std::string text = word(what);
  return ok() ? number_from(text, what) : 0;
}

Span Parser::span() {
  std::uint64_t start = number("an address");
  return Span{start, number("a size")};
}

std::optional<std::string> Parser::option(std::string_view key) {
  const std::string& text = peek().text;
  if (!ok() || !text.starts_with(key) || text.size() <= key.size() || text[key.size()] != '=') {
    return std::nullopt;
  }
  return tokens_[at_++].text.substr(key.size() + 1);
}

void Parser::no_more_words() {
  if (ok() && !line_done() && peek().text != "->") {
    error(fmt::format("'{}' is not understood here", peek().text));
  }
}

// --- structure --------------------------------------------------------------------------------------

tl::expected<ScenarioFile, ParseError> Parser::file() {
  ScenarioFile result{path_, {}};
  skip_blank_lines();
  while (ok() && !at_end()) {
    if (peek().text == "scenario") {
      int line = peek().line;
      accept("scenario");
      std::string name = word("the scenario's name");
      while (ok() && !peek().end_of_line()) name += ' ' + word("a word");
      result.scenarios.push_back(Scenario{name, line, {}});
    } else {
      if (result.scenarios.empty()) result.scenarios.push_back(Scenario{"", peek().line, {}});
      result.scenarios.back().body.push_back(statement());
    }
    skip_blank_lines();
  }
  if (ok() && result.scenarios.empty()) error("there is no statement in this file");
  if (!ok()) return tl::unexpected(ParseError{error_});
  return result;
}

Statement Parser::statement() {
  Statement result;
  result.line = peek().line;
  std::string verb = word("a verb");
  if (ok()) result.command = command(verb);
  no_more_words();
  if (accept("->")) result.outcome = outcome();
  if (ok() && !line_done()) error(fmt::format("'{}' is not understood here", peek().text));
  return result;
}

Outcome Parser::outcome() {
  std::string text = word("an errno name");
  Outcome result{{}, text == "any"};
  if (result.any) return result;
  std::stringstream names(text);
  std::string name;
  while (ok() && std::getline(names, name, '|')) {
    auto err = parse_errno(name);
    if (!err) error(fmt::format("'{}' is no errno name", name));
    result.allowed.push_back(err.value_or(0));
  }
  return result;
}

std::vector<Statement> Parser::block_body() {
  std::vector<Statement> body;
  require("{");
  skip_blank_lines();
  while (ok() && !at_end() && peek().text != "}") {
    body.push_back(statement());
    skip_blank_lines();
  }
  require("}");
  return body;
}

Command Parser::block(Block::Kind kind) {
  Block result{kind, 1, {}};
  if (kind == Block::Kind::kRepeat) result.number = number("the repetitions");
  if (kind == Block::Kind::kParallel) {
    result.number = 0;  // the run's seed
    if (auto seed = option("seed")) result.number = number_from(*seed, "seed");
  }
  const bool outer = std::exchange(actors_allowed_, kind == Block::Kind::kParallel);
  result.body = block_body();
  actors_allowed_ = outer;
  if (ok() && result.body.empty()) error("the block is empty");
  return result;
}

Command Parser::actor() {
  if (!actors_allowed_) error("an actor stands directly in a parallel block");
  const std::string name = word("a name");
  Command made = block(Block::Kind::kSequence);
  std::get<Block>(made).actor = name;
  return made;
}

Command Parser::at_step() {
  AtStep result;
  result.step = word("a step name");
  if (auto text = option("nth")) result.nth = number_from(*text, "nth");
  if (auto text = option("times")) result.times = number_from(*text, "times");
  require("do");
  if (!ok()) return result;
  if (peek().text == "{") {
    result.action = block_body();
  } else {
    result.action.push_back(statement());
  }
  for (const Statement& action : result.action) {
    if (std::holds_alternative<CpuCall>(action.command)) continue;
    error("only cpu verbs may run at a step: the engine holds its locks there");
  }
  return result;
}

Command Parser::fail_step() {
  FailStep result{word("a step name"), 1, ENOMEM, false};
  result.nth = number("which execution (1 is the first)");
  if (ok() && result.nth == 0) error("executions are counted from 1");
  if (!line_done() && peek().text != "forever") {
    std::string name = word("an errno name");
    auto err = parse_errno(name);
    if (!err || *err == 0) error(fmt::format("'{}' is no errno name", name));
    result.err = err.value_or(0);
  }
  result.forever = flag("forever");
  return result;
}

Command Parser::command(const std::string& verb) {
  if (verb == "device") return device();
  if (verb == "vm") return vm();
  if (verb == "destroy") return VmDestroy{word("a VM")};
  if (verb == "bo") return bo();
  if (verb == "bind") return bind();
  if (verb == "unbind") return unbind();
  if (verb == "madvise") return madvise();
  if (verb == "prefetch") return prefetch();
  if (verb == "cpu" || verb.starts_with("cpu:")) return cpu(verb);
  if (verb == "gpu") return gpu();
  if (verb == "queue") return queue();
  if (verb == "queue_destroy") return QueueDestroy{word("a queue")};
  if (verb == "queue_priority") return queue_priority();
  if (verb == "exec") return exec();
  if (verb == "run") return run_engines();
  if (verb == "wait") return WaitJob{word("a job")};
  if (verb == "evict") return evict();
  if (verb == "gc") return Gc{word("a VM")};
  if (verb == "sleep_us") return Sleep{number("microseconds") * 1000};
  if (verb == "only") return Only{word("sim or live")};
  if (verb == "mark") return Mark{};
  if (verb == "fail") return fail_step();
  if (verb == "at") return at_step();
  if (verb == "expect") return expect();
  if (verb == "show") return show();
  if (verb == "seq") return block(Block::Kind::kSequence);
  if (verb == "repeat") return block(Block::Kind::kRepeat);
  if (verb == "parallel") return block(Block::Kind::kParallel);
  if (verb == "actor") return actor();
  --at_;  // so that the message names the verb's own line
  error(fmt::format("there is no verb '{}'", verb));
  return Mark{};
}

// --- devices, VMs, binds ------------------------------------------------------------------------------

Command Parser::device() {
  DeviceSpec result;
  result.profile = word("a device profile");
  while (ok() && !line_done() && peek().text != "->") {
    std::string text = word("an option");
    std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      error(fmt::format("device options are key=value, not '{}'", text));
    } else if (text.substr(0, equals) == "name") {
      result.name = text.substr(equals + 1);
    } else {
      result.options[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  return result;
}

Command Parser::vm() {
  VmSpec result;
  result.name = word("the VM's name");
  while (ok() && !line_done() && peek().text != "->") {
    if (flag("lr")) {
      result.lr = true;
    } else if (flag("fault")) {
      result.fault = true;
    } else if (flag("scratch")) {
      result.scratch = true;
    } else if (flag("no_overcommit")) {
      result.no_overcommit = true;
    } else if (auto device = option("device")) {
      result.device = *device;
    } else {
      no_more_words();
    }
  }
  return result;
}

Command Parser::bo() {
  BoSpec result;
  result.name = word("the buffer's name");
  result.size = number("a size");
  while (ok() && !line_done() && peek().text != "->") {
    if (flag("vram")) {
      result.vram = true;
    } else if (flag("system")) {
      result.system = true;
    } else {
      no_more_words();
    }
  }
  if (!result.vram && !result.system) result.system = true;
  return result;
}

Command Parser::bind() {
  BindSpec result;
  result.vm = word("a VM");
  std::string kind = word("mirror, null, bo or userptr");
  if (kind == "mirror") {
    result.what = BindSpec::What::kMirror;
  } else if (kind == "null") {
    result.what = BindSpec::What::kNull;
  } else if (kind == "bo") {
    result.what = BindSpec::What::kBo;
    result.bo = word("a buffer's name");
  } else if (kind == "userptr") {
    result.what = BindSpec::What::kUserptr;
    result.offset = number("the CPU address");
  } else {
    error(fmt::format("'{}' cannot be bound: mirror, null, bo or userptr", kind));
  }
  result.span = span();
  while (ok() && !line_done() && peek().text != "->") {
    if (flag("autoreset")) {
      result.autoreset = true;
    } else if (flag("readonly")) {
      result.read_only = true;
    } else if (flag("dumpable")) {
      result.dumpable = true;
    } else if (flag("immediate")) {
      result.immediate = true;
    } else if (auto pat = option("pat")) {
      result.pat = static_cast<unsigned>(number_from(*pat, "pat"));
    } else if (auto offset = option("offset")) {
      result.offset = number_from(*offset, "offset");
    } else {
      no_more_words();
    }
  }
  return result;
}

Command Parser::unbind() {
  BindSpec result;
  result.what = BindSpec::What::kUnbind;
  result.vm = word("a VM");
  result.span = span();
  return result;
}

Place Parser::place_from(std::string_view text) {
  Place result;
  if (std::size_t slash = text.find('/'); slash != std::string_view::npos) {
    result.device = std::string(text.substr(0, slash));
    text.remove_prefix(slash + 1);
  }
  if (text == "system" && result.device.empty()) {
    result.kind = Place::Kind::kSystem;
  } else if (text == "device" && result.device.empty()) {
    result.kind = Place::Kind::kDefaultDevice;
  } else if (text == "vram0" || text == "vram1") {
    result.kind = Place::Kind::kVram;
    result.tile = text == "vram1" ? 1 : 0;
  } else {
    error(fmt::format("'{}' is no memory region", text));
  }
  return result;
}

/// One attribute word; false when the next word is none.
bool Parser::attribute(Attrs& attrs) {
  if (auto text = option("atomic")) {
    static constexpr const char* kNames[] = {"undefined", "device", "global", "cpu"};
    for (unsigned i = 0; i < 4; ++i) {
      if (*text == kNames[i]) attrs.atomic = static_cast<AtomicAccess>(i);
    }
    if (!attrs.atomic) error(fmt::format("atomic is undefined, device, global or cpu, not '{}'", *text));
  } else if (auto preferred = option("preferred")) {
    attrs.preferred = place_from(*preferred);
  } else if (auto policy = option("policy")) {
    if (*policy != "all" && *policy != "system") {
      error(fmt::format("policy is all or system, not '{}'", *policy));
    }
    attrs.policy = *policy == "system" ? MigrationPolicy::kOnlySystemPages : MigrationPolicy::kAllPages;
  } else if (auto pat = option("pat")) {
    attrs.pat = static_cast<unsigned>(number_from(*pat, "pat"));
  } else {
    return false;
  }
  return ok();
}

Command Parser::madvise() {
  Madvise result;
  result.vm = word("a VM");
  result.span = span();
  bool some = false;
  while (attribute(result.attrs)) some = true;
  if (!some) error("atomic=, preferred=, policy= or pat= is expected");
  return result;
}

Command Parser::prefetch() {
  Prefetch result;
  result.vm = word("a VM");
  result.span = span();
  std::string where = word("a memory region or 'advice'");
  if (ok() && where != "advice") result.where = place_from(where);
  return result;
}

Command Parser::evict() {
  if (accept("all")) return Evict{};
  std::uint64_t start = number("an address or 'all'");
  std::uint64_t size = line_done() ? 1 : number("a size");
  return Evict{Span{start, size}};
}

}  // namespace detail
}  // namespace softxe::scenario
