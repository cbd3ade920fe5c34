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
if(WASMD_TESTS)
  find_package(GTest REQUIRED CONFIG)
  find_package(benchmark REQUIRED CONFIG)
endif()

# Debian's CMake files name the shared libraries of abseil and gRPC. A daemon that maps a hundred of
# them spends tens of milliseconds on relocations; the archives lie beside them.
if(WASMD_STATIC_DEPS)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  list(FILTER imported INCLUDE REGEX "^(absl|gRPC|re2|c-ares)::")
  foreach(target IN LISTS imported)
    get_target_property(location ${target} IMPORTED_LOCATION_NONE)
    if(location MATCHES "^(.*)\\.so(\\.[0-9.]+)?$" AND EXISTS "${CMAKE_MATCH_1}.a")
      set_target_properties(${target} PROPERTIES IMPORTED_LOCATION_NONE "${CMAKE_MATCH_1}.a"
                                                 IMPORTED_SONAME_NONE "")
    endif()
  endforeach()
endif()
