// SPDX-License-Identifier: LGPL-2.1-or-later
#include "call.hpp"

#include <fmt/format.h>

#include "api/names.hpp"
#include "base/strings.hpp"
#include "wire/message.hpp"

namespace atomichost::daemon {

struct Call::State {
  explicit State(sdbus::MethodCall m) : message(std::move(m)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (!answered) fail("org.freedesktop.DBus.Error.Failed", "The call was dropped");
  }
  void fail(const std::string& name, const std::string& text) {
    answered = true;
    try {
      message.createErrorReply(sdbus::Error(name, text)).send();
    } catch (const std::exception&) {  // the caller is gone
    }
  }
  sdbus::MethodCall message;
  GPtr<GVariant> arguments;
  bool answered = false;
};

Call::Call(sdbus::MethodCall message) : state_(std::make_shared<State>(std::move(message))) {
  try {
    state_->arguments = wire::read_arguments(state_->message);
  } catch (const Error& e) {
    fail(e);
    throw;
  }
}

GVariant* Call::arguments() const noexcept {
  return state_->arguments.get();
}
std::string Call::sender() const {
  return state_->message.getSender();
}
std::string Call::member() const {
  return state_->message.getMemberName();
}
uid_t Call::sender_uid() const {
  try {
    return state_->message.getCredsEuid();
  } catch (const sdbus::Error&) {
    return static_cast<uid_t>(-1);  // gone meanwhile: nobody
  }
}
pid_t Call::sender_pid() const {
  try {
    return state_->message.getCredsPid();
  } catch (const sdbus::Error&) {
    return 0;
  }
}

GPtr<GVariant> Call::value(unsigned index) const {
  return adopt(g_variant_get_child_value(arguments(), index));
}
std::string Call::text(unsigned index) const {
  return g_variant_get_string(value(index).get(), nullptr);
}
bool Call::flag(unsigned index) const {
  return g_variant_get_boolean(value(index).get());
}

namespace {
std::vector<std::string> strings_of(GVariant* array) {
  gsize count = 0;
  const std::unique_ptr<const gchar*, void (*)(gpointer)> words(g_variant_get_strv(array, &count),
                                                                g_free);
  return {words.get(), words.get() + count};
}
}  // namespace

std::vector<std::string> Call::list(unsigned index) const {
  return strings_of(value(index).get());
}

void Call::reply(GVariant* arguments) const {
  const auto held = sink(arguments);
  if (std::exchange(state_->answered, true)) return;
  try {
    auto reply = state_->message.createReply();
    wire::append_arguments(reply, held.get());
    reply.send();
  } catch (const sdbus::Error&) {  // the caller is gone
  }
}

void Call::reply_text(const std::string& text) const {
  reply(g_variant_new("(s)", text.c_str()));
}

void Call::fail(const Error& error) const {
  if (state_->answered) return;
  state_->fail(api::error_name(error.code()), adopt(g_utf8_make_valid(error.what(), -1)).get());
}

GPtr<GVariant> Options::take(const char* key, const char* type) {
  known_.insert(key);
  auto value = adopt(g_variant_lookup_value(dictionary_.get(), key, nullptr));
  if (value && !g_variant_is_of_type(value.get(), G_VARIANT_TYPE(type)))
    throw Error(ErrorCode::InvalidInput,
                fmt::format("Option '{}' must be of D-Bus type {}, not {}", key, type,
                            g_variant_get_type_string(value.get())));
  return value;
}

bool Options::flag(const char* key, bool otherwise) {
  const auto value = take(key, "b");
  return value ? g_variant_get_boolean(value.get()) : otherwise;
}

std::optional<std::string> Options::text(const char* key) {
  const auto value = take(key, "s");
  return value ? std::optional<std::string>(g_variant_get_string(value.get(), nullptr))
               : std::nullopt;
}

std::vector<std::string> Options::list(const char* key) {
  const auto value = take(key, "as");
  return value ? strings_of(value.get()) : std::vector<std::string>();
}

std::optional<std::pair<std::string, std::string>> Options::pair(const char* key) {
  const auto value = take(key, "(ss)");
  if (!value) return std::nullopt;
  const char *first, *second;
  g_variant_get(value.get(), "(&s&s)", &first, &second);
  return std::pair<std::string, std::string>(first, second);
}

void Options::finish() {
  GVariantIter iter;
  g_variant_iter_init(&iter, dictionary_.get());
  const char* key = nullptr;
  GVariant* value = nullptr;
  while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
    const auto held = adopt(value);
    if (!known_.contains(key))
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("Option '{}' is not supported here{}", key,
                              did_you_mean(key, {known_.begin(), known_.end()})));
  }
}

}  // namespace atomichost::daemon
