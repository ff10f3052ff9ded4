// SPDX-License-Identifier: LGPL-2.1-or-later
#include "option.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::client {
namespace {

const Option* find_long(const std::vector<Option>& options, const std::string& name) {
  for (const auto& o : options)
    if (o.long_name == name || std::ranges::find(o.aliases, name) != o.aliases.end()) return &o;
  return nullptr;
}

const Option* find_short(const std::vector<Option>& options, char name) {
  for (const auto& o : options)
    if (o.short_name == name) return &o;
  return nullptr;
}

bool is_flag(const Option& option) {
  return std::holds_alternative<bool*>(option.target);
}

void store(const Option& option, const std::string& value) {
  if (auto* const* text = std::get_if<std::optional<std::string>*>(&option.target)) {
    **text = value;
  } else if (auto* const* list = std::get_if<std::vector<std::string>*>(&option.target)) {
    (*list)->push_back(value);
  } else {
    *std::get<bool*>(option.target) = true;
  }
}

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::InvalidInput, message);
}

}  // namespace

std::vector<std::string> parse_options(const std::vector<std::string>& words,
                                       const std::vector<Option>& options, bool stop_at_word) {
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    auto value_after = [&](const Option& option) {
      if (i + 1 >= words.size())
        refuse("Option --" + option.long_name + " needs a value (" + option.value_name + ")");
      return words[++i];
    };
    if (word == "--") {
      rest.insert(rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      if (stop_at_word) {
        rest.insert(rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
        break;
      }
      rest.push_back(word);
      continue;
    }
    if (word[1] == '-') {
      const auto equals = word.find('=');
      const std::string name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
      const Option* option = find_long(options, name);
      if (!option) {
        std::vector<std::string> known;
        for (const auto& o : options)
          if (!o.is_hidden) known.push_back(o.long_name);
        const auto near = nearest(name, known, 1);
        refuse("Unknown option --" + name +
               (near.empty() ? "" : " (did you mean --" + near[0] + "?)"));
      }
      if (is_flag(*option)) {
        if (equals != word.npos) refuse("Option --" + name + " takes no value");
        store(*option, "");
      } else {
        store(*option, equals == word.npos ? value_after(*option) : word.substr(equals + 1));
      }
      continue;
    }
    for (std::size_t c = 1; c < word.size(); ++c) {
      const Option* option = find_short(options, word[c]);
      if (!option) refuse(std::string("Unknown option -") + word[c]);
      if (is_flag(*option)) {
        store(*option, "");
        continue;
      }
      std::string value = word.substr(c + 1);
      if (!value.empty() && value[0] == '=') value.erase(0, 1);
      store(*option, c + 1 == word.size() ? value_after(*option) : value);
      break;
    }
  }
  return rest;
}

void check_arguments(const std::vector<std::string>& words,
                     const std::vector<Argument>& arguments) {
  std::size_t least = 0;
  bool is_open = false;
  for (const auto& a : arguments) {
    if (a.is_required) ++least;
    is_open = is_open || a.is_repeated;
  }
  if (words.size() < least) refuse("Argument " + arguments[words.size()].name + " is missing");
  if (!is_open && words.size() > arguments.size())
    refuse("Unexpected argument " + shell_quote(words[arguments.size()]));
}

std::string option_spelling(const Option& option) {
  std::string text;
  if (option.short_name) text = std::string("-") + option.short_name + ", ";
  text += "--" + option.long_name;
  if (!option.value_name.empty()) text += "=" + option.value_name;
  return text;
}

std::string arguments_synopsis(const std::vector<Argument>& arguments) {
  std::vector<std::string> parts;
  for (const auto& a : arguments) {
    const std::string name = a.name + (a.is_repeated ? "..." : "");
    parts.push_back(a.is_required ? name : "[" + name + "]");
  }
  return join(parts, " ");
}

}  // namespace atomichost::client
