// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "base/gptr.hpp"

/// What goes over the pipes between pull() and its worker: each frame is a length (32 bits, this
/// machine's order) and a serialised (sv): kind and value. Both ends are the same program.
namespace atomichost::sysroot::pull_wire {

inline constexpr char kRequestType[] = "(ssssssasb)";
inline constexpr char kProgressType[] = "(ttuuuuuuuutuutt)";
inline constexpr std::size_t kLargestFrame = 1 << 20;

void write_frame(int fd, const char* kind, GVariant* value);
/// The value of @p frame, checked to be of @p type. @throws Error Failed.
[[nodiscard]] GPtr<GVariant> value_of(GVariant* frame, const char* type);
[[nodiscard]] GPtr<GVariant> parse(std::string_view bytes, const char* type);

}  // namespace atomichost::sysroot::pull_wire
