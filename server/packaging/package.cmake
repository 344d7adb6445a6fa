# `cmake --install`, and `cpack -G DEB`: see README.md, "Packages".
include(GNUInstallDirs)
install(TARGETS sherd sherd-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md ARCHITECTURE.md redis-compat.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sherd)
install(FILES bench/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sherd/bench) # where the others link to it
install(FILES ${documents}/sherd.1.gz ${documents}/sherd-bench.1.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/man/man1)
install(FILES ${documents}/sherd.conf.5.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/man/man5)
set(completions ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${documents}/sherd.bash DESTINATION ${completions} RENAME sherd)
install(FILES ${documents}/sherd-bench.bash DESTINATION ${completions} RENAME sherd-bench)
install(FILES server/packaging/seccomp.json server/packaging/sidecar.yaml DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sherd/examples)
install(CODE "set(SHERD_SOURCE_DIR \"${CMAKE_SOURCE_DIR}\")
set(SHERD_BINARY_DIR \"${CMAKE_BINARY_DIR}\")
set(SHERD_BINDIR \"${CMAKE_INSTALL_BINDIR}\")")
install(SCRIPT server/packaging/install.cmake)

# Debian's copyright file: the licence, indented as its format wants it.
file(READ LICENSE licence)
string(REGEX REPLACE "\n$" "" licence "${licence}")
string(REGEX REPLACE "\n\n" "\n.\n" licence "${licence}")
string(REGEX REPLACE "\n" "\n " licence "${licence}")
file(WRITE ${CMAKE_BINARY_DIR}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: sherd

Files: *
Copyright: 2026, the sherd authors
License: BSD-3-Clause
 ${licence}
")
install(FILES ${CMAKE_BINARY_DIR}/copyright ${documents}/changelog.Debian.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/sherd)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sherd)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the sherd authors <sherd@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "in-memory, sharded key-value server that speaks RESP")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "sherd keeps keys and values in memory, spread over shards, and serves them to
clients of Redis from a pool of worker threads, on io_uring or epoll. Made to
run beside an application, as its cache.")
set(CPACK_STRIP_FILES ON)
# The prefix of the package, whatever that of the build is; DESTDIR, since the configuration is outside of it.
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS redis-tools)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(scripts ${CMAKE_SOURCE_DIR}/server/packaging/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${scripts}/postinst ${scripts}/prerm ${scripts}/postrm ${scripts}/conffiles)
include(CPack)
