# SPDX-License-Identifier: Apache-2.0
# Makes the Java library from these sources, outside of them:
#   cmake -DPACKAGE=DIR -DMVN=mvn -DVERSION=VERSION -P package.cmake
# DIR is then ready for `mvn deploy`; target/classpath is what its programs need. Maven fetches what its
# own cache has not.
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(root ${here}/../..)

file(READ ${here}/pom.xml pom)
if(NOT pom MATCHES "<artifactId>holdfast</artifactId>[ \n]*<version>${VERSION}</version>")
  message(FATAL_ERROR "the version of client/java/pom.xml is not ${VERSION}")
endif()

foreach(part src proto target/classes target/test-classes)
  file(REMOVE_RECURSE ${PACKAGE}/${part})
endforeach()
file(COPY ${here}/pom.xml ${here}/README.md ${here}/src DESTINATION ${PACKAGE})
file(COPY ${root}/proto/holdfast DESTINATION ${PACKAGE}/proto)
file(GLOB driver ${root}/tests/clients/drivers/java/*.java)
file(COPY ${driver} DESTINATION ${PACKAGE}/src/test/java/io/holdfast/driver)
file(GLOB examples ${here}/examples/*.java)
file(COPY ${examples} DESTINATION ${PACKAGE}/src/test/java)

# With its tests, for these fetch the rest of what they need.
set(build ${MVN} --batch-mode --quiet -Dholdfast.proto=${PACKAGE}/proto package)
execute_process(COMMAND ${build} --offline WORKING_DIRECTORY ${PACKAGE} RESULT_VARIABLE failure
                OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(failure)
  message(STATUS "not built offline:\n${output}")
  execute_process(COMMAND ${build} WORKING_DIRECTORY ${PACKAGE} COMMAND_ERROR_IS_FATAL ANY)
endif()

file(READ ${PACKAGE}/target/classpath classpath)
string(STRIP "${classpath}" classpath)
file(WRITE ${PACKAGE}/target/arguments
     "-cp ${PACKAGE}/target/test-classes:${PACKAGE}/target/classes:${classpath}\n")
