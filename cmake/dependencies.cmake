# Everything we use of Debian 12, found in one place. Nothing is downloaded. Imported targets'
# headers are system headers, so that our warnings stay ours.

find_package(Threads REQUIRED)
find_package(absl REQUIRED CONFIG)
set(Protobuf_USE_STATIC_LIBS ${WASMD_STATIC_DEPS})
find_package(Protobuf REQUIRED)
set(OPENSSL_USE_STATIC_LIBS ${WASMD_STATIC_DEPS})
find_package(OpenSSL REQUIRED)
find_package(gRPC REQUIRED CONFIG)
find_package(asmjit REQUIRED CONFIG)
find_package(Boost 1.81 REQUIRED)  # Headers: Boost::headers.
find_package(CLI11 REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(spdlog REQUIRED CONFIG)
find_package(tomlplusplus REQUIRED CONFIG)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libseccomp REQUIRED IMPORTED_TARGET libseccomp)
if(WASMD_TESTS)
  find_package(GTest REQUIRED CONFIG)
  find_package(benchmark REQUIRED CONFIG)
  find_package(Boost 1.81 REQUIRED COMPONENTS context)
endif()

# Debian's CMake files name the shared libraries of abseil and gRPC. A daemon that maps a hundred of
# them spends tens of milliseconds on relocations; the archives lie beside them.
if(WASMD_STATIC_DEPS)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  list(FILTER imported INCLUDE REGEX "^(absl|gRPC|re2|c-ares|ZLIB)::")
  foreach(target IN LISTS imported)
    foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_NONE IMPORTED_LOCATION_RELEASE)
      get_target_property(location ${target} ${property})
      string(REGEX REPLACE "\\.so[0-9.]*$" ".a" archive "${location}")
      if(location AND NOT archive STREQUAL location AND EXISTS "${archive}")
        set_target_properties(${target} PROPERTIES ${property} "${archive}")
      endif()
    endforeach()
  endforeach()
  # re2 comes through pkg-config, as a flag.
  find_library(WASMD_RE2_ARCHIVE libre2.a)
  if(TARGET re2::re2 AND WASMD_RE2_ARCHIVE)
    set_target_properties(re2::re2 PROPERTIES INTERFACE_LINK_LIBRARIES "${WASMD_RE2_ARCHIVE}")
  endif()
endif()
