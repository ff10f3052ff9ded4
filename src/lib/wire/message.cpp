// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wire/message.hpp"

#include <string>

#include "base/error.hpp"

namespace atomichost::wire {
namespace {

// sdbus-c++ 1.2 keeps the handle to itself, but lets heirs see it.
struct Heir : sdbus::Message {
  static void* handle(sdbus::Message& message) noexcept { return message.*(&Heir::msg_); }
};

constexpr int kDeepest = 32;

int check(int result, const char* doing) {
  if (result < 0) throw errno_error(-result, doing);
  return result;
}

template <typename T>
T read_basic(sd_bus_message* m, char type) {
  T value{};
  check(sd_bus_message_read_basic(m, type, &value), "Reading a D-Bus message");
  return value;
}

GVariant* read_text(sd_bus_message* m, char type) {
  const auto* text = read_basic<const char*>(m, type);
  if (!g_utf8_validate(text, -1, nullptr))
    throw Error(ErrorCode::InvalidInput, "A text in the D-Bus message is not UTF-8");
  if (type == 'o') return g_variant_new_object_path(text);
  if (type == 'g') return g_variant_new_signature(text);
  return g_variant_new_string(text);
}

GVariant* read_value(sd_bus_message* m, char type, const char* contents, int depth);

/// The values up to the end of the container that was entered, into @p builder.
void read_into(sd_bus_message* m, GVariantBuilder* builder, int depth) {
  for (;;) {
    char type = 0;
    const char* contents = nullptr;
    check(sd_bus_message_peek_type(m, &type, &contents), "Reading a D-Bus message");
    if (!type) return;
    g_variant_builder_add_value(builder, read_value(m, type, contents, depth));
  }
}

GVariant* read_container(sd_bus_message* m, char type, const std::string& contents, int depth) {
  if (depth > kDeepest)
    throw Error(ErrorCode::InvalidInput, "The D-Bus message is nested too deeply");
  const std::string signature = type == 'a'   ? "a" + contents
                                : type == 'v' ? "v"
                                : type == 'r' ? "(" + contents + ")"
                                              : "{" + contents + "}";
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE(signature.c_str())));
  check(sd_bus_message_enter_container(m, type, contents.c_str()), "Reading a D-Bus message");
  read_into(m, builder.get(), depth + 1);
  check(sd_bus_message_exit_container(m), "Reading a D-Bus message");
  return g_variant_builder_end(builder.get());
}

GVariant* read_value(sd_bus_message* m, char type, const char* contents, int depth) {
  switch (type) {
    case 'y':
      return g_variant_new_byte(read_basic<std::uint8_t>(m, type));
    case 'b':
      return g_variant_new_boolean(read_basic<int>(m, type));
    case 'n':
      return g_variant_new_int16(read_basic<std::int16_t>(m, type));
    case 'q':
      return g_variant_new_uint16(read_basic<std::uint16_t>(m, type));
    case 'i':
      return g_variant_new_int32(read_basic<std::int32_t>(m, type));
    case 'u':
      return g_variant_new_uint32(read_basic<std::uint32_t>(m, type));
    case 'x':
      return g_variant_new_int64(read_basic<std::int64_t>(m, type));
    case 't':
      return g_variant_new_uint64(read_basic<std::uint64_t>(m, type));
    case 'd':
      return g_variant_new_double(read_basic<double>(m, type));
    case 's':
    case 'o':
    case 'g':
      return read_text(m, type);
    case 'a':
    case 'v':
    case 'r':
    case 'e':
      return read_container(m, type, contents ? contents : "", depth);
    default:
      throw Error(ErrorCode::InvalidInput,
                  std::string("D-Bus values of type '") + type + "' are not accepted here");
  }
}

template <typename T>
void append_basic(sd_bus_message* m, char type, T value) {
  check(sd_bus_message_append_basic(m, type, &value), "Writing a D-Bus message");
}

void append_children(sd_bus_message* m, GVariant* value) {
  const gsize count = g_variant_n_children(value);
  for (gsize i = 0; i < count; ++i) append(m, adopt(g_variant_get_child_value(value, i)).get());
}

}  // namespace

sd_bus_message* raw(sdbus::Message& message) noexcept {
  return static_cast<sd_bus_message*>(Heir::handle(message));
}

GPtr<GVariant> read_arguments(sd_bus_message* message) {
  check(sd_bus_message_rewind(message, /*complete=*/1), "Reading a D-Bus message");
  const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE_TUPLE));
  read_into(message, builder.get(), 0);
  return sink(g_variant_builder_end(builder.get()));
}

GPtr<GVariant> read_arguments(sdbus::Message& message) {
  return read_arguments(raw(message));
}

void append(sd_bus_message* m, GVariant* value) {
  const char type = *g_variant_get_type_string(value);
  switch (type) {
    case 'y':
      return append_basic<std::uint8_t>(m, type, g_variant_get_byte(value));
    case 'b':
      return append_basic<int>(m, type, g_variant_get_boolean(value));
    case 'n':
      return append_basic<std::int16_t>(m, type, g_variant_get_int16(value));
    case 'q':
      return append_basic<std::uint16_t>(m, type, g_variant_get_uint16(value));
    case 'i':
      return append_basic<std::int32_t>(m, type, g_variant_get_int32(value));
    case 'u':
      return append_basic<std::uint32_t>(m, type, g_variant_get_uint32(value));
    case 'x':
      return append_basic<std::int64_t>(m, type, g_variant_get_int64(value));
    case 't':
      return append_basic<std::uint64_t>(m, type, g_variant_get_uint64(value));
    case 'd':
      return append_basic<double>(m, type, g_variant_get_double(value));
    case 's':
    case 'o':
    case 'g': {
      const auto text = adopt(g_utf8_make_valid(g_variant_get_string(value, nullptr), -1));
      check(sd_bus_message_append_basic(m, type, text.get()), "Writing a D-Bus message");
      return;
    }
    case 'v': {
      const auto inner = adopt(g_variant_get_variant(value));
      check(sd_bus_message_open_container(m, 'v', g_variant_get_type_string(inner.get())),
            "Writing a D-Bus message");
      append(m, inner.get());
      break;
    }
    case 'a':
      check(sd_bus_message_open_container(m, 'a', g_variant_get_type_string(value) + 1),
            "Writing a D-Bus message");
      append_children(m, value);
      break;
    case '(':
    case '{': {
      const std::string whole = g_variant_get_type_string(value);
      const std::string contents = whole.substr(1, whole.size() - 2);
      check(sd_bus_message_open_container(m, type == '(' ? 'r' : 'e', contents.c_str()),
            "Writing a D-Bus message");
      append_children(m, value);
      break;
    }
    default:
      throw Error(ErrorCode::Failed,
                  std::string("A value of type ") + type + " cannot be sent over D-Bus");
  }
  check(sd_bus_message_close_container(m), "Writing a D-Bus message");
}

void append_arguments(sd_bus_message* message, GVariant* arguments) {
  append_children(message, arguments);
}

void append_arguments(sdbus::Message& message, GVariant* arguments) {
  append_children(raw(message), arguments);
}

}  // namespace atomichost::wire
