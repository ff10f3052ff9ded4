// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/condition.hpp"

#include <charconv>
#include <cstdint>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::treefile {

namespace {

using Kind = Value::Kind;

constexpr std::string_view kForm =
    "write NAME OPERATOR VALUE, with one of == != < <= > >= and true, false, digits or \"text\"";

[[noreturn]] void fail(const std::string& text) {
  throw Error(ErrorCode::InvalidInput, text);
}

const Value& lookup(const std::string& name, const Variables& variables) {
  auto it = variables.find(name);
  if (it != variables.end()) return it->second;
  std::vector<std::string> names;
  for (const auto& [known, value] : variables) names.push_back(known);
  fail("there is no variable \"" + name + "\"" + did_you_mean(name, names) +
       "; set it in variables, or use one of " + join(names, ", "));
}

bool truth(const Value& v) {
  return v.text[0] == 't' || v.text[0] == 'T';
}

std::uint64_t number(const std::string& digits) {
  std::uint64_t n = 0;
  const char* last = digits.data() + digits.size();
  auto [end, ec] = std::from_chars(digits.data(), last, n);
  if (ec != std::errc() || end != last)
    fail("\"" + digits + "\" is not a whole number from 0 to 18446744073709551615");
  return n;
}

template <typename T>
bool compare(const T& left, const std::string& op, const T& right) {
  if (op == "==") return left == right;
  if (op == "!=") return left != right;
  if (op == "<") return left < right;
  if (op == "<=") return left <= right;
  if (op == ">") return left > right;
  return left >= right;
}

const char* type_name(Kind kind) {
  return kind == Kind::Bool ? "true or false" : kind == Kind::Int ? "a number" : "a text";
}

}  // namespace

bool is_variable_name(const std::string& name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  if (name.empty() || kLetters.find(name[0]) == std::string_view::npos) return false;
  return name.find_first_not_of(std::string(kLetters) + "0123456789-") == std::string::npos;
}

bool holds(const std::string& expression, const Variables& variables) {
  const std::string text(trim(expression));
  const std::string in = "condition \"" + text + "\": ";
  const std::size_t op_begin = text.find_first_of("=!<>");
  if (op_begin == std::string::npos) fail(in + std::string(kForm));
  const std::size_t op_end = text.find_first_not_of("=!<>", op_begin);
  const std::string name(trim(text.substr(0, op_begin)));
  const std::string op =
      text.substr(op_begin, op_end == std::string::npos ? std::string::npos : op_end - op_begin);
  if (!is_variable_name(name) || op_end == std::string::npos ||
      (op != "==" && op != "!=" && op != "<" && op != "<=" && op != ">" && op != ">="))
    fail(in + std::string(kForm));
  const std::string operand(trim(text.substr(op_end)));

  return with_context("condition \"" + text + "\"", [&] {
    Kind kind = Kind::Int;
    std::string right = operand;
    if (operand.size() >= 2 && operand.front() == '"' && operand.back() == '"') {
      kind = Kind::String;
      right = operand.substr(1, operand.size() - 2);
      if (right.find('"') != std::string::npos) fail(std::string(kForm));
    } else if (operand == "true" || operand == "false") {
      kind = Kind::Bool;
    } else if (operand.find_first_not_of("0123456789") != std::string::npos) {
      fail(std::string(kForm));
    }
    const Value& left = lookup(name, variables);
    if (left.kind != kind)
      fail("the variable " + name + " is " + type_name(left.kind) + " (" + left.where.str() +
           "), but it is compared with " + type_name(kind));
    if (kind == Kind::Int) return compare(number(left.text), op, number(right));
    if (op != "==" && op != "!=") fail(op + " compares numbers only; use == or !=");
    if (kind == Kind::Bool) return compare(truth(left), op, right == "true");
    return compare(left.text, op, right);
  });
}

std::string substitute(const std::string& text, const Variables& variables) {
  std::string result;
  std::size_t at = 0;
  while (true) {
    const std::size_t begin = text.find("${", at);
    if (begin == std::string::npos) break;
    const std::size_t end = text.find('}', begin);
    if (end == std::string::npos) fail("\"${\" without \"}\" in \"" + text + "\"");
    result.append(text, at, begin - at);
    result += lookup(text.substr(begin + 2, end - begin - 2), variables).text;
    at = end + 1;
  }
  return result.append(text, at);
}

}  // namespace atomichost::treefile
