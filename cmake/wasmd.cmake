# The helpers every folder uses, and the flags that hold for all of our code.
#
#   wasmd_library(NAME engine_code SRCS code_map.cc HDRS code_map.h DEPS engine_abi absl::status)
#       Headers only: an INTERFACE library. Includes are full paths from the repository's root
#       (#include "engine/code/code_map.h"). Libraries under engine/ and proto/ring/ are built
#       without exceptions.
#   wasmd_executable(NAME wasmd SRCS main.cc DEPS daemon_rpc [INSTALL])
#       Lands in <build>/bin.
#   wasmd_test(NAME code_map_test SRCS code_map_test.cc DEPS engine_code [LABELS unit] [TIMEOUT 60]
#              [ENVIRONMENT K=V …] [WHOLE] [TSAN])
#       GoogleTest and gMock with a main. ctest lists every case; with WHOLE (many tiny cases) the
#       binary is one ctest. TSAN: a test of daemon/ or client/ that ThreadSanitizer can judge. Lands in
#       <build>/bin/tests.
#   wasmd_fuzz(NAME decode_fuzz SRCS decode_fuzz.cc DEPS engine_binary [CORPUS corpus/decode])
#       One LLVMFuzzerTestOneInput. With WASMD_FUZZ it links libFuzzer; in every other build the same
#       sources replay the corpus as a ctest. Lands in <build>/bin/fuzz.
#   wasmd_benchmark(NAME decode_bench SRCS decode_bench.cc DEPS engine_binary)
#       Google Benchmark with a main. Lands in <build>/bin/bench.

include(GoogleTest)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set_property(GLOBAL APPEND PROPERTY JOB_POOLS wasmd_link=1)
set(CMAKE_JOB_POOL_LINK wasmd_link)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug or Release" FORCE)
endif()
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

# Frame pointers everywhere: profilers and our own backtraces walk rbp. __FILE__ says where in the
# tree, not where on the machine.
add_compile_options(-fno-omit-frame-pointer "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=" -fdiagnostics-color=auto)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Build folders differ in name only, so objects need not: the compiler cache serves all of them.
  add_compile_options("-ffile-compilation-dir=${PROJECT_SOURCE_DIR}")
endif()
add_compile_definitions($<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)

# lld, wherever Debian put it. (-fuse-ld=lld needs a plain "ld.lld" beside the compiler's own tools.)
find_program(WASMD_LLD NAMES ld.lld PATHS /usr/lib/llvm-19/bin /usr/lib/llvm-18/bin)
if(WASMD_LLD)
  cmake_path(GET WASMD_LLD PARENT_PATH wasmd_lld_folder)
  add_link_options("-B${wasmd_lld_folder}" -fuse-ld=lld)
endif()
add_link_options(LINKER:--gc-sections,-z,now,-z,relro)

# ccache, where it is installed. The environment makes hits independent of the build folder.
find_program(WASMD_CCACHE ccache)
if(WASMD_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(wasmd_launcher env CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros "${WASMD_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER ${wasmd_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${wasmd_launcher})
endif()

if(WASMD_SANITIZE)
  add_compile_options("-fsanitize=${WASMD_SANITIZE}" -fno-sanitize-recover=all)
  add_link_options("-fsanitize=${WASMD_SANITIZE}")
endif()
if(WASMD_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "WASMD_FUZZ needs clang (libFuzzer).")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# Understood by g++ 12 and clang 19 alike. -Wswitch-enum stays off: it fights an enum of 500 opcodes.
set(wasmd_warnings
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wnon-virtual-dtor
    -Woverloaded-virtual -Wold-style-cast -Wcast-align -Wcast-qual -Wformat=2 -Wimplicit-fallthrough
    -Wdouble-promotion -Wundef -Wextra-semi -Wmissing-declarations -Wvla -Wunused-result
    -Wsuggest-override)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND wasmd_warnings -Wthread-safety -Wheader-hygiene -Wglobal-constructors
       -Wexit-time-destructors -Wunreachable-code)
else()
  list(APPEND wasmd_warnings -Wduplicated-cond -Wlogical-op)
endif()
# GoogleTest's and Google Benchmark's registration macros are global constructors.
set(wasmd_test_warnings "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(wasmd_test_warnings -Wno-global-constructors -Wno-exit-time-destructors)
endif()

# Every test with the label "unit": what the sanitizer presets build.
add_custom_target(wasmd_unit_tests)

# Flags that every target of ours gets, by where it lives.
function(_wasmd_apply_flags target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${wasmd_warnings}>)
  if(WASMD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE folder)
  if(folder MATCHES "^(engine|proto/ring)(/|$)")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>)
  endif()
endfunction()

# Sources that are named and not there: an error in CI, where warnings are; a warning on a desk, so that
# one unfinished folder does not keep the others from being configured.
function(_wasmd_present_sources variable name)
  set(present "")
  foreach(source IN LISTS ${variable})
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" OUTPUT_VARIABLE path)
    get_source_file_property(generated "${path}" GENERATED)
    if(generated OR EXISTS "${path}")
      list(APPEND present "${source}")
    elseif(WASMD_WERROR)
      message(FATAL_ERROR "${name}: no source ${source}")
    else()
      message(WARNING "${name}: no source ${source}")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${path}")
    endif()
  endforeach()
  set(${variable} ${present} PARENT_SCOPE)
endfunction()

function(_wasmd_include_root target scope)
  # The build folder second: generated headers are proto/… as well.
  target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
endfunction()

function(wasmd_library)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS")
  _wasmd_check_arguments(wasmd_library)
  _wasmd_present_sources(arg_SRCS ${arg_NAME})
  _wasmd_present_sources(arg_HDRS ${arg_NAME})
  if(arg_SRCS)
    add_library(${arg_NAME} STATIC ${arg_SRCS} ${arg_HDRS})
    _wasmd_include_root(${arg_NAME} PUBLIC)
    target_link_libraries(${arg_NAME} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
    _wasmd_apply_flags(${arg_NAME})
  else()
    add_library(${arg_NAME} INTERFACE ${arg_HDRS})
    _wasmd_include_root(${arg_NAME} INTERFACE)
    target_link_libraries(${arg_NAME} INTERFACE ${arg_DEPS} ${arg_PRIVATE_DEPS})
  endif()
endfunction()

function(_wasmd_add_executable name folder)
  _wasmd_present_sources(arg_SRCS ${name})
  if(NOT arg_SRCS)
    # Linking is what fails, and that only for those who ask for it.
    file(TOUCH "${CMAKE_CURRENT_BINARY_DIR}/${name}_has_no_source.cc")
    set(arg_SRCS "${CMAKE_CURRENT_BINARY_DIR}/${name}_has_no_source.cc")
  endif()
  add_executable(${name} ${arg_SRCS})
  _wasmd_include_root(${name} PRIVATE)
  target_link_libraries(${name} PRIVATE ${arg_DEPS})
  _wasmd_apply_flags(${name})
  if(WASMD_SANITIZE AND TARGET wasmd_sanitizer_options)
    target_link_libraries(${name} PRIVATE wasmd_sanitizer_options)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${folder}")
endfunction()

function(wasmd_executable)
  cmake_parse_arguments(PARSE_ARGV 0 arg "INSTALL" "NAME" "SRCS;DEPS")
  _wasmd_check_arguments(wasmd_executable)
  _wasmd_add_executable(${arg_NAME} bin)
  if(arg_INSTALL)
    install(TARGETS ${arg_NAME} RUNTIME)
  endif()
endfunction()

function(wasmd_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "WHOLE;TSAN" "NAME;TIMEOUT;WORKING_DIRECTORY" "SRCS;DEPS;LABELS;ENVIRONMENT")
  _wasmd_check_arguments(wasmd_test)
  if(NOT WASMD_TESTS)
    return()
  endif()
  # Debian's abseil and gRPC are not instrumented: what their locks order looks like races. The engine has locks of
  # its own (engine/base/mutex.h).
  if(WASMD_SANITIZE MATCHES "thread" AND NOT arg_TSAN AND CMAKE_CURRENT_SOURCE_DIR MATCHES "/tests/unit/(daemon|client)")
    message(STATUS "SKIPPED: ${arg_NAME}: ThreadSanitizer does not see abseil's locks")
    return()
  endif()
  list(APPEND arg_DEPS GTest::gmock_main GTest::gmock GTest::gtest)
  _wasmd_add_executable(${arg_NAME} bin/tests)
  target_compile_options(${arg_NAME} PRIVATE ${wasmd_test_warnings})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if("unit" IN_LIST arg_LABELS)
    add_dependencies(wasmd_unit_tests ${arg_NAME})
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(NOT arg_WORKING_DIRECTORY)
    set(arg_WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  endif()
  if(arg_WHOLE)
    add_test(NAME ${arg_NAME} COMMAND ${arg_NAME} WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}")
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
                                                ENVIRONMENT "${arg_ENVIRONMENT}")
  else()
    # Lists cross gtest_discover_tests only when their semicolons are escaped.
    string(REPLACE ";" "\\;" labels "${arg_LABELS}")
    string(REPLACE ";" "\\;" environment "${arg_ENVIRONMENT}")
    gtest_discover_tests(${arg_NAME} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                         WORKING_DIRECTORY "${arg_WORKING_DIRECTORY}"
                         PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${environment}")
  endif()
endfunction()

function(wasmd_benchmark)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SRCS;DEPS")
  _wasmd_check_arguments(wasmd_benchmark)
  if(NOT WASMD_TESTS)
    return()
  endif()
  list(APPEND arg_DEPS benchmark::benchmark_main benchmark::benchmark)
  _wasmd_add_executable(${arg_NAME} bin/bench)
  target_compile_options(${arg_NAME} PRIVATE ${wasmd_test_warnings})
endfunction()

function(wasmd_fuzz)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;CORPUS;TIMEOUT" "SRCS;DEPS")
  _wasmd_check_arguments(wasmd_fuzz)
  if(NOT WASMD_TESTS)
    return()
  endif()
  if(NOT WASMD_FUZZ)
    list(APPEND arg_SRCS "${PROJECT_SOURCE_DIR}/cmake/fuzz_replay_main.cc")
  endif()
  _wasmd_add_executable(${arg_NAME} bin/fuzz)
  target_compile_options(${arg_NAME} PRIVATE ${wasmd_test_warnings})
  if(WASMD_FUZZ)
    target_link_options(${arg_NAME} PRIVATE -fsanitize=fuzzer)
  elseif(arg_CORPUS)
    if(NOT arg_TIMEOUT)
      set(arg_TIMEOUT 120)
    endif()
    add_test(NAME ${arg_NAME}_corpus COMMAND ${arg_NAME} "${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}")
    set_tests_properties(${arg_NAME}_corpus PROPERTIES LABELS fuzz TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()

# Every folder below the current one that has a CMakeLists.txt, parents first, in the order of their
# names. A nested folder (compile/baseline) must not be added by its parent too.
function(wasmd_add_subfolders)
  file(GLOB_RECURSE files RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS CMakeLists.txt)
  list(FILTER files EXCLUDE REGEX "(^|/)(node_modules|\\.venv|venv|build|data)/")
  list(SORT files)
  foreach(file IN LISTS files)
    cmake_path(GET file PARENT_PATH folder)
    if(folder)
      add_subdirectory(${folder})
    endif()
  endforeach()
endfunction()

macro(_wasmd_check_arguments function)
  if(NOT arg_NAME)
    message(FATAL_ERROR "${function}: NAME is missing")
  endif()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${function}(${arg_NAME}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
endmacro()
