// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <json-glib/json-glib.h>

#include <string>

#include "base/gptr.hpp"

namespace atomichost {

template <>
struct GFree<JsonBuilder> : FreeWith<g_object_unref> {};
template <>
struct GFree<JsonGenerator> : FreeWith<g_object_unref> {};
template <>
struct GFree<JsonParser> : FreeWith<g_object_unref> {};
template <>
struct GFree<JsonNode> : FreeWith<json_node_unref> {};

/// @p root as text with a final newline; indented by two when @p pretty.
[[nodiscard]] std::string json_to_string(JsonNode* root, bool pretty = true);
/// The parsed document. @throws Error InvalidInput "<name>: line:column: ...".
[[nodiscard]] GPtr<JsonNode> json_from_string(const std::string& text, const std::string& name);

}  // namespace atomichost
