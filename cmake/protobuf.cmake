# SPDX-License-Identifier: Apache-2.0
# holdfast_proto: C code generated from proto/ at build time, and one descriptor set with source
# info: embedded for reflection, and share/holdfast/holdfast.protoset for tools that do without.
set(PROTO_DIR ${PROJECT_SOURCE_DIR}/proto)
set(PROTO_GEN_DIR ${PROJECT_BINARY_DIR}/gen)
set(PROTO_FILES holdfast/v1/admin.proto holdfast/v1/locks.proto grpc/health/v1/health.proto
                grpc/reflection/v1/reflection.proto ttrpc/ttrpc.proto)

# protobuf_c_library(NAME DIRECTORY files...): a library of the C code of .proto files, which are
# named from the directory that they import from.
function(protobuf_c_library name directory)
  set(sources)
  foreach(proto IN LISTS ARGN)
    string(REGEX REPLACE "\\.proto$" "" stem "${proto}")
    set(outputs ${PROTO_GEN_DIR}/${stem}.pb-c.c ${PROTO_GEN_DIR}/${stem}.pb-c.h)
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROTO_GEN_DIR}
      COMMAND ${PROTOC} --plugin=protoc-gen-c=${PROTOC_GEN_C} --c_out=${PROTO_GEN_DIR} -I
              ${directory} ${directory}/${proto}
      DEPENDS ${directory}/${proto}
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC ${PROTO_GEN_DIR})
  target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

protobuf_c_library(holdfast_proto ${PROTO_DIR} ${PROTO_FILES})

# holdfast_descriptor: protobuf's messages that describe messages, to read the descriptor set with.
protobuf_c_library(holdfast_descriptor ${PROTOBUF_INCLUDE_DIR} google/protobuf/descriptor.proto)

# v1alpha is served by the code of v1, and only described.
list(APPEND PROTO_FILES grpc/reflection/v1alpha/reflection.proto)

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
