#include "cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/words.h"

namespace softxe::cli {

namespace {

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) names.push_back(verb->get_name());
  return names;
}

/// Null: no such verb.
const CLI::App* find_verb(const CLI::App& app, const std::string& name) {
  for (const CLI::App* verb : app.get_subcommands({})) {
    if (verb->get_name() == name) return verb;
  }
  return nullptr;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// Where the program stands in the words of `softxe run`: behind "--", or the first word that is neither an option nor
/// the value of one. The number of words when there is none.
std::size_t program_at(const CLI::App& verb, const std::vector<std::string>& words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return i + 1;
    if (word.size() < 2 || word[0] != '-') return i;
    const CLI::Option* option = verb.get_option_no_throw(word);
    if (option != nullptr && option->get_items_expected_max() > 0) ++i;
  }
  return words.size();
}

int complain_and_point(const std::string& verb, const std::string& why) {
  complain(verb.c_str(), why);
  std::fprintf(stderr, "softxe%s%s --help says what there is\n", verb.empty() ? "" : " ", verb.c_str());
  return kExitUsage;
}

/// Words that CLI11 did not know what to do with, without the mark in front of the program.
std::vector<std::string> unknown_words(const CLI::App& verb) {
  std::vector<std::string> words = verb.remaining(true);
  std::erase(words, "--");
  return words;
}

std::string unexpected(const CLI::App& verb) {
  const std::vector<std::string> words = unknown_words(verb);
  const auto option = std::find_if(words.begin(), words.end(), [](const auto& word) { return word.starts_with("-"); });
  if (option == words.end()) return fmt::format("unexpected word '{}'", words.empty() ? "" : words.front());
  const std::string name = option->substr(0, option->find('='));
  return fmt::format("unknown option {}{}", name, near_word(name, option_names(verb)));
}

/// "SOFTXE_VRAM (--vram)" for an option that has its value from there, otherwise its name.
std::string where_from(const CLI::App& verb, const std::string& option, const std::vector<std::string>& typed) {
  const CLI::Option* known = verb.get_option_no_throw(option);
  if (known == nullptr || known->get_envname().empty()) return option;
  const auto names_it = [&](const std::string& word) { return word == option || word.starts_with(option + "="); };
  const bool was_typed = std::any_of(typed.begin(), typed.end(), names_it);
  return was_typed ? option : fmt::format("{} ({})", known->get_envname(), option);
}

int refuse_words(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& typed) {
  const std::string& name = typed.front();
  const CLI::App* verb = find_verb(app, name);
  if (verb == nullptr) return complain_and_point("", unexpected(app));
  // A mistyped option is why something else is missing or has a strange value.
  if (!unknown_words(*verb).empty()) return complain_and_point(name, unexpected(*verb));
  const std::string what = error.what();
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return complain_and_point(name, what.substr(0, what.find(' ')) + " is missing");
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const bool twice = what.find("received") != std::string::npos;
    const std::string option = what.substr(0, what.find(':'));
    return complain_and_point(name, option + (twice ? " is given more than once" : " needs a value"));
  }
  const auto colon = what.find(':');
  if (colon == std::string::npos) return complain_and_point(name, what);
  return complain_and_point(name, where_from(*verb, what.substr(0, colon), typed) + what.substr(colon));
}

}  // namespace

CLI::Validator one_of(std::vector<std::string> words) {
  const std::string names = fmt::format("{{{}}}", fmt::join(words, ","));
  return CLI::Validator(
      [words = std::move(words)](const std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        return fmt::format("'{}' is none of {}{}", text, fmt::join(words, ", "), near_word(text, words));
      },
      names);
}

CLI::Validator between(Range range) {
  return CLI::Validator(
      [range](const std::string& text) {
        unsigned value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= range.least && value <= range.most) return std::string();
        return fmt::format("{} is not allowed: {} to {}", text, range.least, range.most);
      },
      fmt::format("{} to {}", range.least, range.most));
}

CLI::Validator vram_size() {
  return CLI::Validator([](const std::string& text) { return wrong_size(text); }, "SIZE");
}

CLI::Validator file_name() {
  return CLI::Validator(
      [](const std::string& text) {
        return text.empty() ? std::string("the name of the file is empty") : std::string();
      },
      "FILE");
}

Parsed parse_words(CLI::App& app, const std::vector<std::string>& typed) {
  const std::string name = typed.empty() ? std::string() : typed.front();
  if (name.empty()) {
    const std::string why = fmt::format("say what to do: {}", fmt::join(verb_names(app), ", "));
    return {.status = complain_and_point("", why), .program_arguments = {}};
  }
  const CLI::App* verb = find_verb(app, name);
  if (verb == nullptr && !name.starts_with("-")) {
    const std::string why = fmt::format("unknown verb '{}'{}", name, near_word(name, verb_names(app)));
    return {.status = complain_and_point("", why), .program_arguments = {}};
  }
  Parsed parsed;
  std::vector<std::string> words = typed;
  if (name == "run") {
    const std::size_t program = program_at(*verb, words);
    if (program < words.size()) {
      // CLI11 gets the name alone, behind a mark; what follows is not its business.
      const std::string file = words[program];
      parsed.program_arguments.assign(words.begin() + static_cast<std::ptrdiff_t>(program) + 1, words.end());
      words.resize(program);
      if (words.back() != "--") words.emplace_back("--");
      words.push_back(file);
    } else if (words.back() == "--") {
      words.pop_back();
    }
  }
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    parsed.status = error.get_exit_code() == 0 ? app.exit(error) : refuse_words(app, error, typed);
  }
  return parsed;
}

}  // namespace softxe::cli
