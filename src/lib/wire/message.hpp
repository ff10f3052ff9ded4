// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-bus.h>

#include "base/gptr.hpp"

/// D-Bus messages as GVariants, the form in which libostree and GLib hold such values. Used by the
/// programs on both ends of the bus; nothing else may include it.
namespace atomichost::wire {

/// The sd-bus message inside @p message, borrowed.
[[nodiscard]] sd_bus_message* raw(sdbus::Message& message) noexcept;

/// All arguments of @p message, as a tuple.
/// @throws Error InvalidInput: a file descriptor, nesting beyond 32 levels, text that is not UTF-8.
[[nodiscard]] GPtr<GVariant> read_arguments(sd_bus_message* message);
[[nodiscard]] GPtr<GVariant> read_arguments(sdbus::Message& message);

/// Append one value. Text that is not UTF-8 has the wrong bytes replaced: such text comes from file
/// names, and the bus takes none.
void append(sd_bus_message* message, GVariant* value);
/// Append the members of the tuple @p arguments, one by one.
void append_arguments(sd_bus_message* message, GVariant* arguments);
void append_arguments(sdbus::Message& message, GVariant* arguments);

}  // namespace atomichost::wire
