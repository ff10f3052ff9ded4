// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sysroot/operations.hpp"

namespace atomichost::sysroot {

struct DeployRequest {
  std::string stateroot;
  std::string commit;
  GKeyFile* origin = nullptr;
  OstreeDeployment* merge = nullptr;  ///< whose /etc and kernel arguments are taken; may be none
  std::string merge_commit;
  std::optional<std::string> kernel_arguments;
  bool lock_finalization = false;
};

/// Check /etc and /boot, then deploy: staged where the sysroot is the running system's, else at
/// once. Then clean up.
void deploy(Operation& operation, const DeployRequest& request);

/// Remove what nothing refers to from sysroot and repository. @return bytes freed there.
std::uint64_t collect_garbage(Operation& operation);

/// The libostree handle of deployments()[@p index].
[[nodiscard]] GPtr<OstreeDeployment> handle_of(Sysroot& sysroot, std::size_t index);

}  // namespace atomichost::sysroot
