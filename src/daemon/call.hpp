// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/gptr.hpp"

namespace atomichost::daemon {

/// A method call that can be answered later. Copies share the one call; the first answer counts;
/// a call that nobody answered gets an error when the last copy goes.
class Call {
 public:
  /// @throws Error InvalidInput: arguments that cannot be read.
  explicit Call(sdbus::MethodCall message);
  [[nodiscard]] GVariant* arguments() const noexcept;  ///< a tuple of the declared type
  [[nodiscard]] std::string sender() const;
  [[nodiscard]] std::string member() const;
  [[nodiscard]] uid_t sender_uid() const;  ///< asks the bus
  [[nodiscard]] pid_t sender_pid() const;  ///< 0 when the bus does not know

  [[nodiscard]] std::string text(unsigned index) const;
  [[nodiscard]] bool flag(unsigned index) const;
  [[nodiscard]] std::vector<std::string> list(unsigned index) const;
  [[nodiscard]] GPtr<GVariant> value(unsigned index) const;

  /// @param arguments  A tuple; a floating reference is taken.
  void reply(GVariant* arguments) const;
  void reply_text(const std::string& text) const;
  void fail(const Error& error) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The a{sv} of options of a call. Every key must be asked for; others are refused by finish().
class Options {
 public:
  explicit Options(GPtr<GVariant> dictionary) : dictionary_(std::move(dictionary)) {}
  /// @throws Error InvalidInput: there, but of another type. The same for the others.
  [[nodiscard]] bool flag(const char* key, bool otherwise = false);
  [[nodiscard]] std::optional<std::string> text(const char* key);
  [[nodiscard]] std::vector<std::string> list(const char* key);
  [[nodiscard]] std::optional<std::pair<std::string, std::string>> pair(const char* key);
  /// @throws Error InvalidInput naming a key that is not known.
  void finish();

 private:
  GPtr<GVariant> take(const char* key, const char* type);
  GPtr<GVariant> dictionary_;
  std::set<std::string> known_;
};

}  // namespace atomichost::daemon
