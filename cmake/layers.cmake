# One static library per layer; includes run one way: proto -> runtime -> store -> actors -> cli.
# tests/tidy holds every file to it.
add_library(troupe_flags INTERFACE)
target_compile_options(troupe_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wwrite-strings -Wimplicit-fallthrough -Wno-unused-parameter -Wno-missing-field-initializers
    -Wformat=2 -Wno-format-truncation -Wno-format-nonliteral)

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

function(troupe_program name)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/${name}/*.c)
    if(sources)
        add_executable(${name} ${sources})
        target_link_libraries(${name} PRIVATE troupe_flags ${ARGN})
    endif()
endfunction()
troupe_program(troupe troupe_actors)
troupe_program(troupectl troupe_runtime)
