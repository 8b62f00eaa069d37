// Text of a scenario file to ScenarioFile, with errors that name file and line.
// Next: scenario_parser.cc (structure, binds), scenario_parser_calls.cc (cpu, gpu),
// scenario_parser_queues.cc (queues and jobs), scenario_parser_expect.cc (expectations),
// scenario_parser_show.cc (show).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/scenario_ast.h"
#include "cli/scenario_text.h"
#include "tl/expected.hpp"

namespace softxe::scenario {

struct ParseError {
  std::string text;  ///< "FILE:LINE: what is wrong"
};

tl::expected<ScenarioFile, ParseError> parse_scenario(std::string_view path, std::string_view text);
/// Reads the file first.
tl::expected<ScenarioFile, ParseError> parse_scenario_file(const std::string& path);

namespace detail {

/// Recursive descent over tokens. The first error sticks: after it every reader returns a default, so
/// the grammar functions read straight through and the caller asks ok() once.
class Parser {
 public:
  Parser(std::string_view path, std::string_view text) : path_(path), text_(text), tokens_(tokenize(text)) {}

  tl::expected<ScenarioFile, ParseError> file();

 private:
  // reading (scenario_parser.cc)
  bool ok() const { return error_.empty(); }
  void error(const std::string& what) { error_at(peek().line, what); }
  void error_at(int line, const std::string& what);
  const Token& peek() const { return tokens_[at_]; }
  bool at_end() const { return at_ + 1 >= tokens_.size(); }
  bool line_done() const { return peek().end_of_line() || peek().text == "}" || peek().text == ";"; }
  void skip_blank_lines();
  std::string word(const char* what);
  bool accept(std::string_view text);
  void require(std::string_view text);
  std::uint64_t number(const char* what);
  std::uint64_t number_from(std::string_view text, const char* what);
  Span span();
  /// A word "key=value" where the key is `key`; consumes it.
  std::optional<std::string> option(std::string_view key);
  bool flag(std::string_view name) { return accept(name); }
  /// After all options of a verb: whatever is left on the line is an error.
  void no_more_words();

  // statements (scenario_parser.cc)
  Statement statement();
  Command command(const std::string& verb);
  Outcome outcome();
  std::vector<Statement> block_body();
  Command block(Block::Kind kind);
  Command actor();
  Command at_step();
  Command fail_step();
  Command device();
  Command vm();
  Command bo();
  Command bind();
  Command unbind();
  Command madvise();
  Command prefetch();
  Command cpu(const std::string& verb);
  Command gpu();
  Command gpu_kernel(const GpuTarget& target);
  std::vector<std::byte> kernel_code(unsigned lanes);
  std::vector<std::uint64_t> numbers_from(std::string_view text, const char* what, std::size_t count_max);
  // queues (scenario_parser_queues.cc)
  Command queue();
  Command queue_priority();
  Command exec();
  Command run_engines();
  std::vector<BatchCommand> batch();
  QueueRank queue_rank_from(std::string_view text);
  bool queue_option(QueueSpec& queue);
  Command expect_queue();
  Command expect_job();

  Command evict();
  CpuMmap cpu_mmap();
  CpuMremap cpu_mremap();

  // shared pieces
  unsigned typed_value_bytes();
  GpuTarget gpu_target();
  Place place_from(std::string_view text);
  bool attribute(Attrs& attrs);
  Protection protection_from(std::string_view text);

  // expectations (scenario_parser_expect.cc)
  Command expect();
  Command expect_vmas();
  Command expect_attrs();
  Command expect_ranges();
  Command expect_pages(const std::string& what);
  Command expect_ptes();
  Command expect_counter();
  Relation relation();
  VmaPattern vma_pattern();
  void vma_words(VmaPattern& pattern);

  // looking (scenario_parser_show.cc)
  Command show();

  std::string path_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  bool actors_allowed_ = false;  ///< directly inside a parallel block
  std::string error_;
};

}  // namespace detail
}  // namespace softxe::scenario
