# SPDX-License-Identifier: Apache-2.0
# Builds grpcurl unless it is there: cmake -DTOOL=PATH/grpcurl -DVERSION=1.2.3 -DGO=go -P grpcurl.cmake
cmake_minimum_required(VERSION 3.25)
if(NOT EXISTS ${TOOL})
  get_filename_component(directory ${TOOL} DIRECTORY)
  file(MAKE_DIRECTORY ${directory})
  execute_process(COMMAND ${CMAKE_COMMAND} -E env GOBIN=${directory} ${GO} install
                          github.com/fullstorydev/grpcurl/cmd/grpcurl@v${VERSION}
                          COMMAND_ERROR_IS_FATAL ANY)
endif()
