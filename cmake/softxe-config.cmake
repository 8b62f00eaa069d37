# find_package(softxe): softxe::softxe (shared) and softxe::softxe_static.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/softxe-targets.cmake)
