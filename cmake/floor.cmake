# SPDX-License-Identifier: Apache-2.0
# holdfast_floor(NAME libraries...): one floor of the server, server/NAME, as the static library
# holdfast_NAME. A floor links what it is given here and nothing else, so a call upward does not
# link.
function(holdfast_floor name)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  add_library(holdfast_${name} STATIC ${sources})
  target_include_directories(holdfast_${name} PUBLIC ${PROJECT_SOURCE_DIR}/server)
  target_link_libraries(holdfast_${name} PUBLIC ${ARGN} PRIVATE holdfast_warnings)
endfunction()

# holdfast_unit_tests(FLOOR libraries...): every test_*.c beside the caller is a test program of its
# own that links this floor and, through it, those below.
function(holdfast_unit_tests floor)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test_*.c")
  foreach(source IN LISTS sources)
    get_filename_component(stem "${source}" NAME_WE)
    set(target unit_${floor}_${stem})
    add_executable(${target} "${source}")
    target_link_libraries(${target} PRIVATE holdfast_${floor} ${ARGN} PkgConfig::CMOCKA
                                            holdfast_warnings)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                               ${PROJECT_BINARY_DIR}/tests/unit)
    add_test(NAME unit/${floor}/${stem} COMMAND ${target})
    set_tests_properties(unit/${floor}/${stem} PROPERTIES LABELS unit TIMEOUT 60)
  endforeach()
endfunction()
