# The whole build vocabulary: millrace_library, millrace_test, millrace_binary.
#
# Dependencies between our libraries point one way (tests/dependencies_test.py checks the include
# graph); a library lists what it uses, and the linker holds it to that.

find_package(GTest REQUIRED)
include(GoogleTest)

# millrace_library(NAME SOURCES... DEPS...) -> target millrace_NAME, header-only without .cc files
function(millrace_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  if(A_SOURCES)
    add_library(millrace_${name} STATIC ${A_SOURCES})
    target_include_directories(millrace_${name} PUBLIC ${PROJECT_SOURCE_DIR}/libs ${PROJECT_SOURCE_DIR})
    target_link_libraries(millrace_${name} PUBLIC ${A_DEPS})
  else()
    add_library(millrace_${name} INTERFACE)
    target_include_directories(millrace_${name} INTERFACE ${PROJECT_SOURCE_DIR}/libs ${PROJECT_SOURCE_DIR})
    target_link_libraries(millrace_${name} INTERFACE ${A_DEPS})
  endif()
endfunction()

# millrace_test(NAME SOURCES... DEPS... [LABEL unit|integration] [LONG]) -> one binary, one ctest entry.
# LONG tests are built with the others and run by `make test-all` only.
function(millrace_test name)
  cmake_parse_arguments(A "LONG" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT A_LABEL)
    set(A_LABEL unit)
  endif()
  if(A_LONG)
    set(A_LABEL long)
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS} GTest::gmock GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABEL}" TIMEOUT ${A_TIMEOUT})
endfunction()

# millrace_binary(NAME SOURCES... DEPS...) -> bin/NAME
function(millrace_binary name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
