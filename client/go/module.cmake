# SPDX-License-Identifier: Apache-2.0
# Makes the Go module from these sources, outside of them:
#     cmake -DMODULE=DIR [-DGO=go] [-DPROTOC=protoc] [-DDRIVER=DIR] -P module.cmake
# MODULE is then ready for `go test`, to be published, and for `go mod edit -replace`. Generators are kept in
# MODULE-tools; they and the dependencies are fetched once, into Go's own cache. DRIVER: a directory with a command to
# build along, as MODULE-driver.
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(root ${here}/../..)
if(NOT GO)
  set(GO go)
endif()
if(NOT PROTOC)
  set(PROTOC protoc)
endif()
get_filename_component(module ${MODULE} ABSOLUTE)
set(tools ${module}-tools)

function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${module} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${module})
file(COPY ${here}/ DESTINATION ${module} PATTERN module.cmake EXCLUDE)
file(COPY ${root}/LICENSE DESTINATION ${module})
run(${GO} build -modfile=generator.mod -o ${tools}/ google.golang.org/protobuf/cmd/protoc-gen-go
    google.golang.org/grpc/cmd/protoc-gen-go-grpc)

set(package github.com/holdfast/holdfast-go)
set(options module=${package},Mholdfast/v1/locks.proto=${package}/internal/locks)
run(${PROTOC} --plugin=${tools}/protoc-gen-go --plugin=${tools}/protoc-gen-go-grpc --go_out=${options}:.
    --go-grpc_out=${options}:. -I ${root}/proto holdfast/v1/locks.proto)
if(DRIVER)
  file(COPY ${DRIVER}/ DESTINATION ${module}/internal/driver FILES_MATCHING PATTERN "*.go")
  run(${GO} build -o ${module}-driver ./internal/driver)
endif()
