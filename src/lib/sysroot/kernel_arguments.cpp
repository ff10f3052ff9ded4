// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"
#include "sysroot/deploy.hpp"
#include "sysroot/operations.hpp"

namespace atomichost::sysroot {
namespace {

/// One argument stands in one line of a boot entry, where blanks divide. A value in double quotes
/// may hold blanks for the kernel, but libostree would not keep them together.
void check_argument(const std::string& argument) {
  const bool is_empty = trim(argument).empty();
  const bool has_bad = std::ranges::any_of(argument, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == ' ';
  });
  if (is_empty || has_bad)
    throw Error(ErrorCode::InvalidInput,
                fmt::format("Kernel argument '{}' is {}",
                            adopt(g_strescape(argument.c_str(), nullptr)).get(),
                            is_empty ? "empty"
                                     : "not one word: blanks, line breaks and control "
                                       "characters are not allowed"));
}

}  // namespace

std::string edit_kernel_arguments(const KernelArgumentsRequest& request, const std::string& base) {
  if (request.final_arguments) {
    const auto words = split(*request.final_arguments, ' ');
    for (const auto& word : words)
      if (!word.empty()) check_argument(word);
    return join(split_whitespace(*request.final_arguments), " ");
  }
  for (const auto* list : {&request.append, &request.replace, &request.remove,
                           &request.append_if_missing, &request.delete_if_present})
    for (const auto& argument : *list) check_argument(argument);
  const auto arguments = adopt(ostree_kernel_args_from_string(base.c_str()));
  for (const auto& argument : request.remove) {
    GErrorSink error;
    if (!ostree_kernel_args_delete(arguments.get(), argument.c_str(), error))
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("Removing kernel argument '{}': {}", argument, error.get()->message));
  }
  for (const auto& argument : request.replace) {
    GErrorSink error;
    if (!ostree_kernel_args_new_replace(arguments.get(), argument.c_str(), error))
      throw Error(ErrorCode::InvalidInput, fmt::format("Replacing kernel argument '{}': {}",
                                                       argument, error.get()->message));
  }
  for (const auto& argument : request.append)
    ostree_kernel_args_append(arguments.get(), argument.c_str());
  for (const auto& argument : request.delete_if_present) {
    GErrorSink error;
    if (!ostree_kernel_args_delete_if_present(arguments.get(), argument.c_str(), error))
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("Removing kernel argument '{}': {}", argument, error.get()->message));
  }
  for (const auto& argument : request.append_if_missing)
    ostree_kernel_args_append_if_missing(arguments.get(), argument.c_str());
  return adopt(ostree_kernel_args_to_string(arguments.get())).get();
}

bool set_kernel_arguments(Operation& op, const KernelArgumentsRequest& request) {
  const auto all = op.sysroot.deployments();
  const auto roles = roles_of(all, request.stateroot);
  if (!roles.newest) throw Error(ErrorCode::NotFound, request.stateroot + " has no deployment yet");
  const auto& newest = all[*roles.newest];
  const std::string before = newest.kernel_arguments;
  const std::string after =
      edit_kernel_arguments(request, request.base.empty() ? before : request.base);
  if (split_whitespace(after) == split_whitespace(before)) {
    op.reporter.message("No changes.");
    return false;
  }
  const auto merge = handle_of(op.sysroot, *roles.newest);
  const auto key_file = origin_to(newest.origin, ostree_deployment_get_origin(merge.get()));
  deploy(op, {.stateroot = request.stateroot,
              .commit = newest.checksum,
              .origin = key_file.get(),
              .merge = merge.get(),
              .merge_commit = newest.checksum,
              .kernel_arguments = after,
              .lock_finalization = request.lock_finalization});
  return true;
}

}  // namespace atomichost::sysroot
