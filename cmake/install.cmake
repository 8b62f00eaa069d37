# What is installed beside programs and libraries: manual pages, completion, documentation, examples, scenarios.
# `make uninstall` removes what the last `make install` put there (install_manifest.txt).

find_program(SCDOC scdoc)
if(SCDOC)
  file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.scd)
  set(made)
  foreach(source ${pages})
    string(REGEX REPLACE "^.*/([a-z-]+\\.([0-9]))\\.scd$" "\\1;\\2" name ${source})
    list(GET name 0 page)
    list(GET name 1 section)
    set(out ${CMAKE_BINARY_DIR}/man/${page})
    add_custom_command(OUTPUT ${out} DEPENDS ${source}
                       COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
                       COMMAND sh -c "${SCDOC} < ${source} > ${out}" VERBATIM)
    list(APPEND made ${out})
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
  endforeach()
  # The language of scenario files has one text, docs/SCENARIOS.md.
  set(out ${CMAKE_BINARY_DIR}/man/softxe-scenario.5)
  set(converter ${CMAKE_SOURCE_DIR}/tools/man_of_markdown.py)
  add_custom_command(OUTPUT ${out} DEPENDS ${CMAKE_SOURCE_DIR}/docs/SCENARIOS.md ${converter}
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
                     COMMAND sh -c "python3 ${converter} softxe-scenario 5 \
'scenario files: what a program and its GPU do, and what must be true' \
< ${CMAKE_SOURCE_DIR}/docs/SCENARIOS.md | ${SCDOC} > ${out}" VERBATIM)
  list(APPEND made ${out})
  install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  add_custom_target(man ALL DEPENDS ${made})
else()
  message(STATUS "no scdoc: manual pages are not made")
endif()

set(share ${CMAKE_SOURCE_DIR}/share)
install(FILES ${share}/completions/softxe.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME softxe)
set(SOFTXE_ZSH_FOLDER zsh/site-functions CACHE STRING "Where zsh looks for completion, below share")
install(FILES ${share}/completions/softxe.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/${SOFTXE_ZSH_FOLDER} RENAME _softxe)
install(FILES ${share}/completions/softxe.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

install(FILES README.md ARCHITECTURE.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN man EXCLUDE)
# The examples include the ABI as "abi/uapi.h"; a copy beside them lets them build anywhere.
set(examples ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY examples/ DESTINATION ${examples}
        FILES_MATCHING PATTERN "*.c" PATTERN "*.h" PATTERN "*.cc" PATTERN Makefile)
install(FILES src/abi/uapi.h src/abi/uapi_drm.h DESTINATION ${examples}/abi)
install(DIRECTORY tests/scenarios DESTINATION ${CMAKE_INSTALL_DATADIR}/softxe)
# What `softxe root` and `softxe conformance` run.
install(DIRECTORY conformance DESTINATION ${CMAKE_INSTALL_DATADIR}/softxe USE_SOURCE_PERMISSIONS
        PATTERN selftest.py EXCLUDE PATTERN __pycache__ EXCLUDE)
