// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace atomichost::compose {

/// The man page atomic-compose(1), from the option tables.
[[nodiscard]] std::string man_page(const CLI::App& app);

}  // namespace atomichost::compose
