# SPDX-License-Identifier: Apache-2.0
# holdfast_proto: C code generated from proto/ at build time, and one descriptor set with source
# info (share/holdfast/holdfast.protoset) for tools that want the API without reflection.
set(PROTO_DIR ${PROJECT_SOURCE_DIR}/proto)
set(PROTO_GEN_DIR ${PROJECT_BINARY_DIR}/gen)
set(PROTO_FILES holdfast/v1/admin.proto holdfast/v1/locks.proto ttrpc/ttrpc.proto)

set(proto_sources)
foreach(proto IN LISTS PROTO_FILES)
  string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
  set(outputs ${PROTO_GEN_DIR}/${stem}.pb-c.c ${PROTO_GEN_DIR}/${stem}.pb-c.h)
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROTO_GEN_DIR}
    COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${PROTO_GEN_DIR} -I
            ${PROTO_DIR} ${PROTO_DIR}/${proto}
    DEPENDS ${PROTO_DIR}/${proto}
    VERBATIM)
  list(APPEND proto_sources ${outputs})
endforeach()

add_library(holdfast_proto STATIC ${proto_sources})
target_include_directories(holdfast_proto SYSTEM PUBLIC ${PROTO_GEN_DIR})
target_link_libraries(holdfast_proto PUBLIC PkgConfig::PROTOBUF_C)

set(PROTOSET ${PROJECT_BINARY_DIR}/share/holdfast/holdfast.protoset)
list(TRANSFORM PROTO_FILES PREPEND ${PROTO_DIR}/ OUTPUT_VARIABLE proto_paths)
add_custom_command(
  OUTPUT ${PROTOSET}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/share/holdfast
  COMMAND ${PROTOC} --include_imports --include_source_info --descriptor_set_out=${PROTOSET} -I
          ${PROTO_DIR} ${proto_paths}
  DEPENDS ${proto_paths}
  VERBATIM)
add_custom_target(holdfast_protoset ALL DEPENDS ${PROTOSET})
install(FILES ${PROTOSET} DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast)
install(DIRECTORY ${PROTO_DIR}/holdfast DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast/proto)
