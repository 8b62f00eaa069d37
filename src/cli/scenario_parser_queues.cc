// The verbs of scenario files about exec queues and their jobs.
#include <fmt/format.h>

#include "cli/scenario_parser.h"

namespace softxe::scenario::detail {

QueueRank Parser::queue_rank_from(std::string_view text) {
  if (text == "low") return QueueRank::kLow;
  if (text == "normal") return QueueRank::kNormal;
  if (text == "high") return QueueRank::kHigh;
  error(fmt::format("a priority is low, normal or high, not '{}'", text));
  return QueueRank::kNormal;
}

/// One option of `queue`; false when the next word is none.
bool Parser::queue_option(QueueSpec& queue) {
  if (flag("group")) {
    queue.makes_group = true;
  } else if (auto primary = option("in")) {
    queue.joins = *primary;
  } else if (auto rank = option("in_group")) {
    queue.in_group = queue_rank_from(*rank);
    queue.has_rank_in_group = true;
  } else if (auto priority = option("priority")) {
    queue.priority = queue_rank_from(*priority);
  } else if (auto engines = option("engines")) {
    for (std::uint64_t instance : numbers_from(*engines, "engines", 8))
      queue.instances.push_back(static_cast<unsigned>(instance));
  } else {
    return false;
  }
  return ok();
}

Command Parser::queue() {
  QueueSpec result;
  result.name = word("the queue's name");
  result.vm = word("a VM");
  result.engine_class = word("copy, compute or render");
  while (ok() && !line_done() && queue_option(result)) {
  }
  return result;
}

Command Parser::queue_priority() {
  std::string name = word("a queue");
  return QueuePriorityChange{std::move(name), queue_rank_from(word("low, normal or high"))};
}

/// `{ store ADDR VALUE; wait ADDR VALUE; spin ADDR VALUE; bad }`
std::vector<BatchCommand> Parser::batch() {
  std::vector<BatchCommand> commands;
  require("{");
  skip_blank_lines();
  while (ok() && !at_end() && peek().text != "}") {
    using Kind = BatchCommand::Kind;
    if (!commands.empty() && commands.back().kind == Kind::kSpin) error("nothing is carried out behind a spin");
    const std::string what = word("store, wait, spin or bad");
    BatchCommand command;
    command.kind = what == "store"  ? Kind::kStore
                   : what == "wait" ? Kind::kWait
                   : what == "spin" ? Kind::kSpin
                                    : Kind::kBad;
    if (what != "bad") {
      command.address = number("an address");
      command.value = static_cast<std::uint32_t>(number("a value"));
      if (command.kind == Kind::kBad) error(fmt::format("a batch has no '{}'", what));
    }
    commands.push_back(command);
    if (ok() && !line_done()) error(fmt::format("'{}' is not understood here", peek().text));
    skip_blank_lines();
  }
  require("}");
  return commands;
}

Command Parser::exec() {
  ExecSpec result;
  result.queue = word("a queue");
  result.job = word("the job's name");
  if (auto at = option("at")) {
    result.address = number_from(*at, "at");
  } else {
    error("at=ADDRESS is expected");
  }
  if (ok() && peek().text == "{") result.batch = batch();
  return result;
}

Command Parser::run_engines() {
  if (line_done() || peek().text == "->") return RunEngines{};
  return RunEngines{number("slices")};
}

Command Parser::expect_queue() {
  ExpectQueue result{word("a queue"), word("alive or banned")};
  if (ok() && result.state != "alive" && result.state != "banned") error("a queue is alive or banned");
  return result;
}

Command Parser::expect_job() {
  ExpectJob result{word("a job"), word("pending or an errno name")};
  if (ok() && result.state != "pending" && !parse_errno(result.state))
    error(fmt::format("'{}' is neither 'pending' nor an errno name", result.state));
  return result;
}

}  // namespace softxe::scenario::detail
