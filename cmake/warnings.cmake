# SPDX-License-Identifier: Apache-2.0
# Assertions stay on in every build, also those inside libraries' headers.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

# holdfast_warnings: linked by every target of our own code, never by generated code.
add_library(holdfast_warnings INTERFACE)
target_compile_options(
  holdfast_warnings
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wsign-conversion
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wundef
            -Wvla
            -Wwrite-strings
            -Wcast-align
            -Wformat=2
            -Werror
            $<$<C_COMPILER_ID:Clang>:-Wmissing-variable-declarations>)
target_compile_definitions(holdfast_warnings INTERFACE _GNU_SOURCE)
target_compile_options(
  holdfast_warnings INTERFACE $<$<CONFIG:RelWithDebInfo>:-fstack-protector-strong>
                              $<$<CONFIG:RelWithDebInfo>:-U_FORTIFY_SOURCE>
                              $<$<CONFIG:RelWithDebInfo>:-D_FORTIFY_SOURCE=2>)
