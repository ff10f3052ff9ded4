// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "base/error.hpp"

namespace atomichost::test {

/// The Error that a call threw, for several checks of one.
struct Failure {
  ErrorCode code = ErrorCode::Failed;
  std::string text = "nothing was thrown";
};
template <typename Body>
Failure failure_of(Body body) {
  try {
    body();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {};
}

}  // namespace atomichost::test
