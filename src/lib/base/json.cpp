// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/json.hpp"

namespace atomichost {

std::string json_to_string(JsonNode* root, bool pretty) {
  const auto generator = adopt(json_generator_new());
  json_generator_set_root(generator.get(), root);
  json_generator_set_pretty(generator.get(), pretty);
  json_generator_set_indent(generator.get(), 2);
  const auto text = adopt(json_generator_to_data(generator.get(), nullptr));
  return std::string(text.get()) + "\n";
}

GPtr<JsonNode> json_from_string(const std::string& text, const std::string& name) {
  const auto parser = adopt(json_parser_new());
  GErrorSink error;
  if (!json_parser_load_from_data(parser.get(), text.data(), static_cast<gssize>(text.size()),
                                  error))
    throw Error(ErrorCode::InvalidInput,
                name + ": " + (error.get() ? error.get()->message : "not JSON"));
  JsonNode* root = json_parser_steal_root(parser.get());
  if (!root) throw Error(ErrorCode::InvalidInput, name + ": empty");
  return adopt(root);
}

}  // namespace atomichost
