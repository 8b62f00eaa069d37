# find_package(softxe): softxe::softxe (shared) and softxe::softxe_static.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/softxe-targets.cmake)
# What softxe.h is written in; a project in C has no C++ compiler that would know, and softxe_c.h is C11.
get_property(softxe_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if("CXX" IN_LIST softxe_languages)
  foreach(softxe_target softxe::softxe softxe::softxe_static)
    set_property(TARGET ${softxe_target} APPEND PROPERTY INTERFACE_COMPILE_FEATURES cxx_std_17)
  endforeach()
endif()
