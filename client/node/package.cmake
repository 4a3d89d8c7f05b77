# SPDX-License-Identifier: Apache-2.0
# Makes the npm package from these sources, outside of them: cmake -DPACKAGE=DIR -DNPM=npm -P package.cmake
# DIR is then ready for `npm test`, `npm pack` and `npm publish`. Dependencies are fetched when
# package.json has changed, from npm's cache where that has them.
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})
set(root ${here}/../..)

foreach(part dist src test driver examples proto)
  file(REMOVE_RECURSE ${PACKAGE}/${part})
endforeach()
file(COPY ${here}/package.json ${here}/tsconfig.json ${here}/README.md ${root}/LICENSE ${here}/src
          ${here}/test ${here}/examples DESTINATION ${PACKAGE})
file(COPY ${root}/proto/holdfast/v1/locks.proto DESTINATION ${PACKAGE}/proto/holdfast/v1)
file(COPY ${root}/proto/grpc/health/v1/health.proto DESTINATION ${PACKAGE}/proto/grpc/health/v1)
file(COPY ${root}/tests/clients/drivers/node/driver.mts DESTINATION ${PACKAGE}/driver)

set(stamp ${PACKAGE}/node_modules/.holdfast-package)
set(fetched "")
if(EXISTS ${stamp})
  file(READ ${stamp} fetched)
endif()
file(READ ${here}/package.json wanted)
if(NOT fetched STREQUAL wanted)
  execute_process(
    COMMAND ${NPM} install --no-package-lock --no-audit --no-fund --prefer-offline --loglevel=error
    WORKING_DIRECTORY ${PACKAGE} COMMAND_ERROR_IS_FATAL ANY)
  file(WRITE ${stamp} "${wanted}")
endif()
execute_process(COMMAND ${NPM} run build WORKING_DIRECTORY ${PACKAGE} COMMAND_ERROR_IS_FATAL ANY)
