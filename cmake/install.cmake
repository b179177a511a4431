# cmake --install: the programs, their man pages, completions, ready topologies. The pages come from
# what the programs say of themselves (docs/man/manpage), so they are made after them.
include(GNUInstallDirs)
if(NOT TARGET troupe OR NOT TARGET troupectl OR TROUPE_FUZZ)
    return()
endif()
install(TARGETS troupe troupectl RUNTIME)

set(share ${CMAKE_BINARY_DIR}/share)
file(MAKE_DIRECTORY ${share})
foreach(program troupe troupectl)
    set(frame ${CMAKE_SOURCE_DIR}/docs/man/${program}.1.in)
    add_custom_command(OUTPUT ${share}/${program}.1
        COMMAND sh ${CMAKE_SOURCE_DIR}/docs/man/manpage $<TARGET_FILE:${program}> ${frame} > ${share}/${program}.1
        DEPENDS ${program} ${frame} ${CMAKE_SOURCE_DIR}/docs/man/manpage VERBATIM)
endforeach()
foreach(shell bash zsh)
    add_custom_command(OUTPUT ${share}/troupectl.${shell}
        COMMAND troupectl completion ${shell} > ${share}/troupectl.${shell} DEPENDS troupectl VERBATIM)
endforeach()
add_custom_target(share ALL DEPENDS ${share}/troupe.1 ${share}/troupectl.1 ${share}/troupectl.bash
    ${share}/troupectl.zsh)

install(FILES ${share}/troupe.1 ${share}/troupectl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_SOURCE_DIR}/docs/man/troupe-topology.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
set(completions ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${share}/troupectl.bash DESTINATION ${completions} RENAME troupectl)
install(FILES ${CMAKE_SOURCE_DIR}/cli/completion/troupe.bash DESTINATION ${completions} RENAME troupe)
install(FILES ${share}/troupectl.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _troupectl)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/configs DESTINATION ${CMAKE_INSTALL_DATADIR}/troupe)
