# SPDX-License-Identifier: Apache-2.0
# Copies the probe and fetches what it needs: cmake -DPACKAGE=DIR -DNPM=npm -P package.cmake
# Dependencies are fetched when package.json has changed, from npm's cache where that has them.
cmake_minimum_required(VERSION 3.25)
set(here ${CMAKE_CURRENT_LIST_DIR})
file(COPY ${here}/package.json ${here}/probe.mjs DESTINATION ${PACKAGE})

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
