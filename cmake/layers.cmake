# One static library per layer; includes run one way: proto -> runtime -> store -> actors -> cli.
# tests/tidy holds every file to it.
add_library(troupe_flags INTERFACE)
target_compile_options(troupe_flags INTERFACE
    -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wwrite-strings -Wimplicit-fallthrough -Wno-unused-parameter -Wno-missing-field-initializers
    -Wformat=2 -Wno-format-nonliteral
    # gcc builds what runs and is the judge; clang only fuzzes.
    "$<$<C_COMPILER_ID:GNU>:-Werror;-Wno-format-truncation>")

function(troupe_layer name)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${ARGN})
    if(sources)
        add_library(${name} STATIC ${sources})
        target_link_libraries(${name} PRIVATE troupe_flags)
        set(scope PUBLIC)
    else()
        add_library(${name} INTERFACE)
        set(scope INTERFACE)
    endif()
    target_include_directories(${name} ${scope} ${CMAKE_SOURCE_DIR})
endfunction()

troupe_layer(troupe_runtime ${CMAKE_SOURCE_DIR}/runtime/*.c)
target_link_libraries(troupe_runtime PUBLIC proto_troupe proto_k8s PkgConfig::CZMQ PkgConfig::ZMQ
    PkgConfig::YAML PkgConfig::NGHTTP2 PkgConfig::GNUTLS PkgConfig::MNL Threads::Threads m)

macro(troupe_scope_of name scope_var)
    get_target_property(_type ${name} TYPE)
    set(${scope_var} PUBLIC)
    if(_type STREQUAL "INTERFACE_LIBRARY")
        set(${scope_var} INTERFACE)
    endif()
endmacro()

troupe_layer(troupe_store ${CMAKE_SOURCE_DIR}/store/*.c)
troupe_scope_of(troupe_store scope)
target_link_libraries(troupe_store ${scope} troupe_runtime ${ROCKSDB})

troupe_layer(troupe_actors ${CMAKE_SOURCE_DIR}/actors/*.c)
troupe_scope_of(troupe_actors scope)
target_link_libraries(troupe_actors ${scope} troupe_store troupe_runtime PkgConfig::MICROHTTPD
    PkgConfig::JANSSON)

troupe_layer(cli_options ${CMAKE_SOURCE_DIR}/cli/options/*.c)
target_link_libraries(cli_options PUBLIC troupe_runtime)
troupe_layer(cli_client ${CMAKE_SOURCE_DIR}/cli/client/*.c)
target_link_libraries(cli_client PUBLIC troupe_runtime)

# A program: main.c, and a library of all the rest, which its tests link.
function(troupe_program name)
    set(main ${CMAKE_SOURCE_DIR}/cli/${name}/main.c)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/${name}/*.c)
    list(REMOVE_ITEM sources ${main})
    if(sources)
        add_library(cli_${name} STATIC ${sources})
        target_include_directories(cli_${name} PUBLIC ${CMAKE_SOURCE_DIR})
        target_link_libraries(cli_${name} PRIVATE troupe_flags PUBLIC ${ARGN})
        set(rest cli_${name})
    endif()
    if(EXISTS ${main})
        add_executable(${name} ${main})
        target_link_libraries(${name} PRIVATE troupe_flags ${rest} ${ARGN})
    endif()
endfunction()
troupe_program(troupe cli_options cli_client troupe_actors)
troupe_program(troupectl cli_options cli_client troupe_runtime PkgConfig::JANSSON)

# The ready topologies are part of the program (cli/troupe/builtin.c).
file(GLOB topologies CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/configs/*.yaml)
set_source_files_properties(${CMAKE_SOURCE_DIR}/cli/troupe/builtin.c PROPERTIES
    OBJECT_DEPENDS "${topologies}"
    COMPILE_DEFINITIONS CONFIGS_DIR="${CMAKE_SOURCE_DIR}/configs")
