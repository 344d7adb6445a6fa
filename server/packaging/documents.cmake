# What the programs print about themselves out of their tables, as files: sherd.conf, the manual, bash completion.
# Made when they are built; gzip -n leaves no time in them, so that the same source gives the same file.
set(documents ${CMAKE_BINARY_DIR}/documents)
file(MAKE_DIRECTORY ${documents})

# `file` is what `program` says when it is asked to --print `what`.
function(sherd_document file program what)
    add_custom_command(OUTPUT ${documents}/${file}
        COMMAND ${program} --print ${what} > ${documents}/${file}.part
        COMMAND ${CMAKE_COMMAND} -E rename ${documents}/${file}.part ${documents}/${file}
        DEPENDS ${program} VERBATIM COMMENT "Printing ${file}")
    set_property(GLOBAL APPEND PROPERTY sherd_documents ${documents}/${file})
endfunction()

sherd_document(sherd.conf sherd config)
sherd_document(sherd.1 sherd man)
sherd_document(sherd.conf.5 sherd config-man)
sherd_document(sherd.bash sherd completion)
sherd_document(sherd-bench.1 sherd-bench man)
sherd_document(sherd-bench.bash sherd-bench completion)

find_program(GZIP gzip REQUIRED)
foreach(page sherd.1 sherd.conf.5 sherd-bench.1)
    add_custom_command(OUTPUT ${documents}/${page}.gz
        COMMAND ${GZIP} -9nkf ${documents}/${page} DEPENDS ${documents}/${page} VERBATIM)
    set_property(GLOBAL APPEND PROPERTY sherd_documents ${documents}/${page}.gz)
endforeach()
add_custom_command(OUTPUT ${documents}/changelog.Debian.gz
    COMMAND ${GZIP} -9nc ${CMAKE_SOURCE_DIR}/server/packaging/debian/changelog > ${documents}/changelog.Debian.gz
    DEPENDS server/packaging/debian/changelog VERBATIM)
set_property(GLOBAL APPEND PROPERTY sherd_documents ${documents}/changelog.Debian.gz)
get_property(made GLOBAL PROPERTY sherd_documents)
add_custom_target(documents ALL DEPENDS ${made})
