# SOFTXE_VERSION_TEXT: "0.1.0 (commit 1a2b3c4)". The commit is that of the checkout, looked up again after each commit;
# that of an exported tree stands in cmake/commit.txt (git archive fills it in); otherwise none is named.
set(commit "")
if(EXISTS ${CMAKE_SOURCE_DIR}/.git)
  execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} rev-parse --absolute-git-dir
                  OUTPUT_VARIABLE git_dir OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(EXISTS ${git_dir}/logs/HEAD)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${git_dir}/logs/HEAD)
  endif()
else()
  file(STRINGS ${CMAKE_SOURCE_DIR}/cmake/commit.txt exported LIMIT_COUNT 1)
  if(exported MATCHES "^[0-9a-f]+$")
    string(SUBSTRING ${exported} 0 12 commit)
  endif()
endif()
set(SOFTXE_VERSION_TEXT ${PROJECT_VERSION})
if(commit)
  string(APPEND SOFTXE_VERSION_TEXT " (commit ${commit})")
endif()
