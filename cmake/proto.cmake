# Every .proto below proto/ becomes C at build time; nothing generated lives in git. The compiler
# sees all files in one run, so adding a schema means adding a file and nothing else.
find_program(PROTOC_C protoc-c REQUIRED)
set(PROTO_DIR ${CMAKE_SOURCE_DIR}/proto)
set(PROTO_OUT ${CMAKE_BINARY_DIR}/proto)
file(GLOB PROTO_K8S CONFIGURE_DEPENDS ${PROTO_DIR}/k8s/*.proto)
file(GLOB PROTO_OWN CONFIGURE_DEPENDS ${PROTO_DIR}/troupe/*.proto ${PROTO_DIR}/cri/*.proto)
file(MAKE_DIRECTORY ${PROTO_OUT})

function(troupe_proto name)
    set(sources)
    foreach(proto ${ARGN})
        file(RELATIVE_PATH rel ${PROTO_DIR} ${proto})
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem ${rel})
        add_custom_command(
            OUTPUT ${PROTO_OUT}/${stem}.c ${PROTO_OUT}/${stem}.h
            COMMAND ${PROTOC_C} --c_out=${PROTO_OUT} -I${PROTO_DIR} -I${PROTOBUF_C_INCLUDEDIR} ${rel}
            WORKING_DIRECTORY ${PROTO_DIR}
            DEPENDS ${proto}
            VERBATIM)
        list(APPEND sources ${PROTO_OUT}/${stem}.c)
    endforeach()
    add_library(${name} STATIC ${sources})
    target_compile_options(${name} PRIVATE -Os -w)
    target_include_directories(${name} SYSTEM PUBLIC ${PROTO_OUT})
    target_link_libraries(${name} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

if(PROTO_K8S)
    troupe_proto(proto_k8s ${PROTO_K8S})
else()
    add_library(proto_k8s INTERFACE)
endif()
troupe_proto(proto_troupe ${PROTO_OWN})
target_link_libraries(proto_troupe PUBLIC proto_k8s)
