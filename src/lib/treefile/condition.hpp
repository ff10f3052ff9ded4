// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>

#include "treefile/value.hpp"

namespace atomichost::treefile {

/// Name -> Bool, Int or String value. "basearch" and "releasever" are among them.
using Variables = std::map<std::string, Value>;

/// Whether `NAME OPERATOR VALUE` holds; operators == != < <= > >=, values true, false, digits or
/// "text". < and the like compare numbers only. Pure.
/// @throws Error  InvalidInput: not an expression, unknown variable, types that do not match.
[[nodiscard]] bool holds(const std::string& expression, const Variables& variables);

/// Whether @p name can be a variable's name: a letter or _, then letters, digits, _ and -.
[[nodiscard]] bool is_variable_name(const std::string& name);

/// @p text with every ${NAME} replaced by its variable.
/// @throws Error  InvalidInput: unknown variable, "${" without "}".
[[nodiscard]] std::string substitute(const std::string& text, const Variables& variables);

}  // namespace atomichost::treefile
