# Compile flags shared by every target, and the rules that turn a folder into targets.

set(SOFTXE_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(SOFTXE_WERROR)
  list(APPEND SOFTXE_WARNINGS -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  list(APPEND SOFTXE_WARNINGS -Wthread-safety)
endif()

add_library(softxe_flags INTERFACE)
target_compile_options(softxe_flags INTERFACE ${SOFTXE_WARNINGS} -fvisibility=hidden -fno-plt
                                              -ftls-model=initial-exec -fno-omit-frame-pointer
                                              # What is installed names no folder of the machine that built it.
                                              $<$<CONFIG:Release>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=>)
target_include_directories(softxe_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR})
if(SOFTXE_SANITIZE)
  target_compile_options(softxe_flags INTERFACE -fsanitize=${SOFTXE_SANITIZE}
                                                -fno-sanitize-recover=all)
  target_link_options(softxe_flags INTERFACE -fsanitize=${SOFTXE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The sanitizers' own branches make GCC see reads of members that a variant does not hold.
    target_compile_options(softxe_flags INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

if(SOFTXE_BUILD_FUZZ)
  target_compile_options(softxe_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_package(Threads REQUIRED)

# The headers nearly every file reads take most of a small file's time: read once for all layers, and once, with
# GoogleTest, for all test programs. Presets without it (clang-tsa, fuzz) show a header nobody includes.
set(SOFTXE_STANDARD_HEADERS
    <algorithm> <array> <atomic> <cstdint> <cstring> <functional> <map> <memory> <mutex> <optional> <span> <string>
    <string_view> <utility> <variant> <vector> <fmt/format.h> <boost/intrusive/list.hpp>
    <boost/intrusive/set.hpp> <tl/expected.hpp>)

# softxe_precompile(TARGET OWNER [HEADERS...]): OWNER, which has the same flags, is where they are compiled.
function(softxe_precompile target owner)
  if(NOT SOFTXE_PRECOMPILE)
    return()
  elseif(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${SOFTXE_STANDARD_HEADERS} ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# src/LAYER/**/*.cc without tests -> object library softxe_LAYER
function(softxe_layer layer)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${layer}/*.cc)
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cc$")
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/empty_${layer}.cc "")
    set(sources ${CMAKE_BINARY_DIR}/empty_${layer}.cc)
  endif()
  add_library(softxe_${layer} OBJECT ${sources})
  if(SOFTXE_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND layer STREQUAL "host")
    # Fences are invisible to the sanitizer; those of the live backend, the only ones, do not run there.
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/host/live/fault_reader.cc
                                PROPERTIES COMPILE_OPTIONS -Wno-tsan)
  endif()
  if(SOFTXE_SANITIZE AND layer STREQUAL "hw")
    # Thousands of instantiations of vector code: half the time to compile, and tests of them that last as long.
    set_source_files_properties(${CMAKE_SOURCE_DIR}/src/hw/eu/eu_fast_plain.cc ${CMAKE_SOURCE_DIR}/src/hw/eu/eu_fast_avx2.cc
                                ${CMAKE_SOURCE_DIR}/src/hw/eu/eu_fast_avx512.cc PROPERTIES COMPILE_OPTIONS -O0
                                SKIP_PRECOMPILE_HEADERS ON)
  endif()
  target_link_libraries(softxe_${layer} PUBLIC softxe_flags Threads::Threads)
  softxe_precompile(softxe_${layer} softxe_base)
endfunction()

# The object files of every layer up to and including the named one.
function(softxe_objects out last)
  set(result "")
  foreach(layer base hw vm host svm drv abi)
    list(APPEND result $<TARGET_OBJECTS:softxe_${layer}>)
    if(layer STREQUAL last)
      break()
    endif()
  endforeach()
  set(${out} ${result} PARENT_SCOPE)
endfunction()

# Tests that cannot run under a sanitizer, since they move the memory its own runtime lives in or
# rewrite the libc it intercepts. docs/TESTING.md lists them by name.
set(SOFTXE_NOT_SANITIZED "/host/live/live_([a-z]+|engine_memory)_test\\.cc$|/host/patch/(patcher|patcher_fork|stub)_test\\.cc$|/drv/svm_live(_rows)?_test\\.cc$")

# One thread runs all of these; the threads that kernels run on are in drv/exec.
set(SOFTXE_NOT_THREAD_SANITIZED "/hw/eu/[a-z0-9_]+_test\\.cc$")

# Tests that read files of the tree learn where it is. Only they: a path on every command line would make the compiler
# cache useless between two checkouts.
function(softxe_source_dir)
  foreach(source ${ARGN})
    file(STRINGS ${source} uses REGEX SOFTXE_SOURCE_DIR LIMIT_COUNT 1)
    if(uses)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_DEFINITIONS SOFTXE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    endif()
  endforeach()
endfunction()

# Every program behind a ctest unit.*: what the sanitizers' part of the gate builds.
add_custom_target(softxe-unit-tests)

# All *_test.cc of src/LAYER become one GoogleTest program softxe_LAYER_tests, run as one ctest.
function(softxe_layer_tests layer)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${layer}/*_test.cc)
  if(SOFTXE_SANITIZE)
    list(FILTER tests EXCLUDE REGEX "${SOFTXE_NOT_SANITIZED}")
    if(SOFTXE_SANITIZE MATCHES "thread")
      list(FILTER tests EXCLUDE REGEX "${SOFTXE_NOT_THREAD_SANITIZED}")
    endif()
  endif()
  if(NOT tests)
    return()
  endif()
  if(layer STREQUAL "explore")
    softxe_objects(objects base)
    list(APPEND objects $<TARGET_OBJECTS:softxe_explore>)
  else()
    softxe_objects(objects ${layer})
  endif()
  add_executable(softxe_${layer}_tests ${tests} ${objects})
  target_link_libraries(softxe_${layer}_tests PRIVATE softxe_flags softxe_${layer}_deps GTest::gtest
                                                      GTest::gmock GTest::gtest_main Threads::Threads)
  softxe_source_dir(${tests})
  softxe_precompile(softxe_${layer}_tests softxe_base_tests <gtest/gtest.h>)
  add_test(NAME unit.${layer} COMMAND softxe_${layer}_tests)
  add_dependencies(softxe-unit-tests softxe_${layer}_tests)
endfunction()

# src/LAYER/**/NAME_fuzz.cc becomes the libFuzzer program NAME_fuzz, and a short seeded run of it a ctest.
function(softxe_layer_fuzz layer)
  file(GLOB_RECURSE targets CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${layer}/*_fuzz.cc)
  softxe_objects(objects ${layer})
  foreach(source ${targets})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source} ${objects})
    target_link_libraries(${name} PRIVATE softxe_flags softxe_${layer}_deps Threads::Threads)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    string(REPLACE "_fuzz" "" short ${name})
    add_test(NAME fuzz.${short} COMMAND ${name} -seed=1 -runs=20000 -max_len=1024)
  endforeach()
endfunction()

# Static libraries a layer needs at link time (the disassembler of host/).
foreach(layer base explore hw vm host svm drv abi)
  add_library(softxe_${layer}_deps INTERFACE)
endforeach()
# The fibers of explorations; only the command has them.
target_link_libraries(softxe_explore_deps INTERFACE -l:libboost_context.a)
target_link_libraries(softxe_host_deps INTERFACE capstone)
target_link_libraries(softxe_svm_deps INTERFACE softxe_host_deps)
target_link_libraries(softxe_drv_deps INTERFACE softxe_host_deps)
target_link_libraries(softxe_abi_deps INTERFACE softxe_host_deps)
