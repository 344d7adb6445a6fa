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

# Whoever installs over an older sherd keeps what they wrote; a package's own installer sees to that by itself.
if(EXISTS "$ENV{DESTDIR}${SHERD_CONFIG}")
    message(STATUS "Left as it is: $ENV{DESTDIR}${SHERD_CONFIG}")
else()
    file(INSTALL "${SHERD_BINARY_DIR}/documents/sherd.conf" DESTINATION "${etc}/sherd")
endif()
