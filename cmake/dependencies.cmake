# SPDX-License-Identifier: Apache-2.0
# Everything comes from the distribution's packages; deploy/packages lists them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBEVENT_CORE REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(LIBEVENT_EXTRA REQUIRED IMPORTED_TARGET libevent_extra>=2.1)
pkg_check_modules(LIBEVENT_OPENSSL REQUIRED IMPORTED_TARGET libevent_openssl>=2.1)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(SYSTEMD IMPORTED_TARGET libsystemd)
find_path(UTHASH_INCLUDE_DIR uthash.h REQUIRED)
find_path(PROTOBUF_INCLUDE_DIR google/protobuf/descriptor.proto REQUIRED)
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_GEN_C NAMES protoc-gen-c REQUIRED)

# Distributions have added this limit to versions that did not bring it.
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.50)
include(CheckSymbolExists)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::NGHTTP2)
check_symbol_exists(nghttp2_option_set_stream_reset_rate_limit nghttp2/nghttp2.h
                    HAVE_NGHTTP2_RESET_RATE_LIMIT)
unset(CMAKE_REQUIRED_LIBRARIES)
