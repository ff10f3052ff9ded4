// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <ostree.h>

#include "base/gptr.hpp"

/// How the handles of libostree are released. Included by the modules that own one of its objects.
namespace atomichost {

template <>
struct GFree<OstreeRepo> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeRepoFile> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeMutableTree> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeSysroot> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeSysrootUpgrader> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeDeployment> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeBootconfigParser> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeSePolicy> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeGpgVerifyResult> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeSign> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeAsyncProgress> : FreeWith<g_object_unref> {};
template <>
struct GFree<OstreeRemote> : FreeWith<ostree_remote_unref> {};
template <>
struct GFree<OstreeRepoCommitModifier> : FreeWith<ostree_repo_commit_modifier_unref> {};
template <>
struct GFree<OstreeRepoDevInoCache> : FreeWith<ostree_repo_devino_cache_unref> {};
template <>
struct GFree<OstreeKernelArgs> : FreeWith<ostree_kernel_args_free> {};
template <>
struct GFree<OstreeRepoAutoLock> : FreeWith<ostree_repo_auto_lock_cleanup> {};

}  // namespace atomichost
