# At install time, when the prefix is known for good: the unit and the configuration. Under /usr the configuration
# goes to /etc, as the file hierarchy wants it; elsewhere it stays under the prefix. DESTDIR is heeded by file(INSTALL).
# Needs: SHERD_SOURCE_DIR, SHERD_BINARY_DIR, SHERD_BINDIR
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(etc /etc)
else()
    set(etc "${CMAKE_INSTALL_PREFIX}/etc")
endif()
set(SHERD_BINARY "${CMAKE_INSTALL_PREFIX}/${SHERD_BINDIR}/sherd")
set(SHERD_CONFIG "${etc}/sherd/sherd.conf")
configure_file("${SHERD_SOURCE_DIR}/server/packaging/sherd.service.in" "${SHERD_BINARY_DIR}/sherd.service" @ONLY)
file(INSTALL "${SHERD_BINARY_DIR}/sherd.service" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")

# What the file holds may be a password: the server's group reads it, others don't. A package's installer makes that group.
function(give_to_group folder)
    execute_process(COMMAND getent group sherd RESULT_VARIABLE is_missing OUTPUT_QUIET ERROR_QUIET)
    if(is_missing)
        message(STATUS "There is no group sherd yet, which must read the configuration: chgrp -R sherd ${folder}")
    else()
        execute_process(COMMAND chgrp -R sherd "${folder}")
    endif()
endfunction()

# Whoever installs over an older sherd keeps what they wrote; a package's own installer sees to that by itself.
if(EXISTS "$ENV{DESTDIR}${SHERD_CONFIG}")
    message(STATUS "Left as it is: $ENV{DESTDIR}${SHERD_CONFIG}")
else()
    file(INSTALL "${SHERD_BINARY_DIR}/documents/sherd.conf" DESTINATION "${etc}/sherd"
        PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
    file(CHMOD "$ENV{DESTDIR}${etc}/sherd" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
    if("$ENV{DESTDIR}" STREQUAL "")
        give_to_group("${etc}/sherd")
    endif()
endif()
