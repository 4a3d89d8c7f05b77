# SPDX-License-Identifier: Apache-2.0
# embed(TARGET SYMBOL name FILES a b ...): joins the files in that order and compiles them into
# TARGET as `const unsigned char name[]` with `const size_t name_size`. A NUL follows the bytes and is
# not counted.
function(embed target)
  cmake_parse_arguments(PARSE_ARGV 1 EMBED "" "SYMBOL" "FILES")
  set(paths)
  foreach(file IN LISTS EMBED_FILES)
    get_filename_component(path "${file}" ABSOLUTE)
    list(APPEND paths "${path}")
  endforeach()
  set(output "${CMAKE_CURRENT_BINARY_DIR}/embed/${EMBED_SYMBOL}.c")
  string(REPLACE ";" "|" inputs "${paths}")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} "-DINPUTS=${inputs}" "-DOUTPUT=${output}" "-DSYMBOL=${EMBED_SYMBOL}"
            -P "${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake"
    DEPENDS ${paths} "${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake"
    VERBATIM)
  target_sources(${target} PRIVATE "${output}")
endfunction()
