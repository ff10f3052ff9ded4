// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "fields.hpp"
#include "terminal.hpp"

namespace atomichost::client {

struct StatusView {
  const Fields& sysroot;
  const std::vector<Fields>& deployments;
  const Fields& cached_update;
  const Terminal& terminal;
  bool is_verbose = false;
};

/// What `atomic status` shows to people.
[[nodiscard]] std::string status_text(const StatusView& view);
/// The block about an update that is known but not deployed; "" when there is none.
[[nodiscard]] std::string update_text(const Fields& cached_update, const Terminal& terminal);

}  // namespace atomichost::client
