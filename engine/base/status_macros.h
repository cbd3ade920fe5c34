// WASMD_RETURN_IF_ERROR and WASMD_ASSIGN_OR_RETURN: hand an error to the caller in one line.
//
//   WASMD_RETURN_IF_ERROR(Validate(module));                            // absl::Status
//   WASMD_ASSIGN_OR_RETURN(const Module module, Decode(bytes, limits));  // absl::StatusOr<Module>
//
// The left side of WASMD_ASSIGN_OR_RETURN is a declaration or an lvalue, without a comma outside
// parentheses (name a type with one by `using` first). Neither may be the body of an unbraced if.
#ifndef WASMD_ENGINE_BASE_STATUS_MACROS_H_
#define WASMD_ENGINE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define WASMD_STATUS_CONCAT_INNER_(a, b) a##b
#define WASMD_STATUS_CONCAT_(a, b) WASMD_STATUS_CONCAT_INNER_(a, b)

#define WASMD_RETURN_IF_ERROR(expression)                                                        \
  do {                                                                                           \
    if (::absl::Status wasmd_status_ = (expression); __builtin_expect(!wasmd_status_.ok(), 0)) { \
      return wasmd_status_;                                                                      \
    }                                                                                            \
  } while (false)

#define WASMD_ASSIGN_OR_RETURN(lhs, expression) \
  WASMD_ASSIGN_OR_RETURN_(WASMD_STATUS_CONCAT_(wasmd_status_or_, __LINE__), lhs, expression)

#define WASMD_ASSIGN_OR_RETURN_(result, lhs, expression) \
  auto result = (expression);                            \
  if (__builtin_expect(!result.ok(), 0)) {               \
    return std::move(result).status();                   \
  }                                                      \
  lhs = *std::move(result)

#endif  // WASMD_ENGINE_BASE_STATUS_MACROS_H_
